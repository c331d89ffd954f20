// Package bench measures the whole of Conclave beside its baselines: real members around a real relay node, and raw
// gossipsub or a minimal program beside them, in the same run and in turns.
//
//	go test -run '^$' -bench . -benchtime 1x -timeout 30m ./cmd/internal/bench
//
// Each benchmark reports both absolute figures and their ratio. One iteration is a whole comparison and takes seconds, so
// -benchtime 1x is enough. What is measured:
//
//   - BenchmarkLatency: from Send to the event at each other member, 3 and 24 members, p50, p90, p99 and the largest,
//     beside raw gossipsub, raw gossipsub that signs and verifies, and as the floor what signs, seals and keeps every message
//     on disk and does nothing else, all of them at once and in turns of one to two seconds; ± is the standard error of the
//     mean of the turns' ratios; where the machine's processors may be watched (root, Linux), once more without the texts that met a
//     slow one;
//   - BenchmarkHub: the same with 20 messages a second for half a minute, 24 and 100 members, none over half a second;
//   - BenchmarkThroughput: texts sent as fast as possible by 3 members at once, none lost;
//   - BenchmarkColdStart: three processes from start to Kabc, against three of the program in minimal;
//   - BenchmarkRelayMemory: what an idle member costs the relay node, in a process of its own.
//
// Its tests use the same members to show that the hub holds: with up to 100 of them, and with 1,000 messages sent back
// to back, every message arrives once and in its sender's order.
//
// The parts (frames, key agreement, mailbox) are measured beside their code. What they are all measured against stands in
// internal/baseline, but for the floor, which needs the frames. Nothing imports this package, and it has no code
// outside its tests apart from the minimal program.
package bench
