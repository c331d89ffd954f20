// Package baseline holds what Conclave's benchmarks are measured against, and nothing that Conclave runs.
//
// A figure alone says little: machines differ, and so do neighbours on one machine. So every benchmark of the project
// runs its baseline in the same process and reports the ratio of the two beside both absolute figures. The baselines
// stand in one package, so that nobody tunes a baseline to flatter the thing beside it. It stands at the top of the module,
// because the benchmarks of node, relaynode and cmd all use it:
//
//   - [Cipher]: bare AES-256-CTR and HMAC-SHA256 with reused state, for frames;
//   - [Log]: one fsynced append per record, for the mailbox;
//   - [RSARound]: the RSA operations of an all-to-all share round alone, for key agreement;
//   - [Star]: raw gossipsub, unsigned, around one hub over TCP, for latency, throughput and memory;
//   - [Signer]: the same with a signature on every message, for what signing and verifying add to a latency;
//   - [Journal]: its messages on the disk of the hub and of each receiver, for what it adds to forget nothing;
//   - [Latencies], [Interleave] and [PerSecond]: what the benchmarks need to compare two sides fairly.
//
// Nothing here is safe to build on: Cipher uses one key for ever, Star admits everybody. Only
// tests and benchmarks may import this package, from any package of the module; a house test holds them to it.
package baseline
