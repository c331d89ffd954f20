// Package pb is the protobuf encoding that package wire wraps.
//
// The .proto files here are the source, the Go files beside them are generated and committed, so that building needs no
// protobuf compiler. Nothing in these types is checked: sizes, lengths and unknown fields are wire's business, which is
// why nothing outside overlay/wire may import them.
package pb

//go:generate protoc --go_out=. --go_opt=paths=source_relative session.proto agreement.proto roster.proto
