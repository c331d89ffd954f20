// Package pb is the protobuf encoding that package wire wraps. Nothing outside overlay/wire imports it.
package pb

//go:generate protoc --go_out=. --go_opt=paths=source_relative session.proto agreement.proto roster.proto
