package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"conclave/relaynode"
	"conclave/relaynode/backlog"
	"conclave/relaynode/mailbox"

	toml "github.com/pelletier/go-toml/v2"
)

// fileConfig is the TOML file that --config names. Every key is optional; an unknown one is refused, because a typing
// mistake in a limit must not pass for the limit.
type fileConfig struct {
	Group    string     `toml:"group"`
	Listen   []string   `toml:"listen"`
	Announce []string   `toml:"announce"`
	Peer     []string   `toml:"peer"`
	Via      []string   `toml:"via"`
	UI       string     `toml:"ui"`
	LAN      string     `toml:"lan"`
	Limits   fileLimits `toml:"limits"`
}

// fileLimits are the bounds on what the relay node keeps. Zero or absent means the default.
type fileLimits struct {
	MailboxDays   int   `toml:"mailbox-days"`   // how long undelivered shares are kept
	BacklogDays   int   `toml:"backlog-days"`   // how long batches are kept
	BacklogBytes  int64 `toml:"backlog-bytes"`  // how many bytes of batches are kept
	BacklogNumber int   `toml:"backlog-number"` // how many batches are kept
}

// maxConfigFile is the largest configuration file that is read.
const maxConfigFile = 64 << 10

// readConfig reads a configuration file. Its errors name the file, the line and the key.
func readConfig(path string) (fileConfig, error) {
	var c fileConfig
	f, err := os.Open(path)
	if err != nil {
		return c, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	dec := toml.NewDecoder(io.LimitReader(f, maxConfigFile)).DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, fmt.Errorf("reading the configuration %s: %w", path, explain(err))
	}
	return c, c.validate(path)
}

// explain names the line and the key of what the decoder did not understand.
func explain(err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var unknown []string
		for _, e := range strict.Errors {
			line, _ := e.Position()
			unknown = append(unknown, fmt.Sprintf("line %d: %q is not a setting", line, strings.Join(e.Key(), ".")))
		}
		return errors.New(strings.Join(unknown, "; "))
	}
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := decode.Position()
		return fmt.Errorf("line %d, column %d: %w", line, column, decode)
	}
	return err
}

func (c fileConfig) validate(path string) error {
	l := c.Limits
	if l.MailboxDays < 0 || l.BacklogDays < 0 || l.BacklogBytes < 0 || l.BacklogNumber < 0 {
		return fmt.Errorf("the configuration %s: a limit must not be negative", path)
	}
	return nil
}

// apply writes the file's limits over the defaults for a group of that many members.
func (l fileLimits) apply(to *relaynode.Limits, members int) {
	if l.MailboxDays > 0 {
		to.Mailbox = mailbox.DefaultLimits(members)
		to.Mailbox.TTL = days(l.MailboxDays)
	}
	to.Backlog = backlog.DefaultLimits()
	if l.BacklogDays > 0 {
		to.Backlog.Age = days(l.BacklogDays)
	}
	if l.BacklogBytes > 0 {
		to.Backlog.Bytes = l.BacklogBytes
	}
	if l.BacklogNumber > 0 {
		to.Backlog.Batches = l.BacklogNumber
	}
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
