package baseline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Journal is a Log that gathers: what comes within a while of the first record is written and synced together.
type Journal struct {
	log  *Log
	in   chan []byte
	done chan error
}

// OpenJournal creates or continues the log at path. Records wait for others for the given time.
func OpenJournal(path string, gather time.Duration) (*Journal, error) {
	log, err := OpenLog(path)
	if err != nil {
		return nil, err
	}
	j := &Journal{log: log, in: make(chan []byte, queue), done: make(chan error, 1)}
	go func() { j.done <- j.run(gather) }() // Close waits for it
	return j, nil
}

// Note queues a record. It waits while the queue is full, and must not be called after Close.
func (j *Journal) Note(data []byte) { j.in <- data }

func (j *Journal) run(gather time.Duration) error {
	for first := range j.in {
		time.Sleep(gather)
		group := [][]byte{first}
		for more := true; more; {
			select {
			case data, open := <-j.in:
				if more = open; open {
					group = append(group, data)
				}
			default:
				more = false
			}
		}
		if err := j.log.Append(bytes.Join(group, nil)); err != nil {
			return err
		}
	}
	return nil
}

// Close writes what is queued and closes the file.
func (j *Journal) Close() error {
	close(j.in)
	return errors.Join(<-j.done, j.log.Close())
}

// Keeper is a signer that also keeps what it receives: the least that a member and a relay node have to do which sign,
// verify and forget nothing, without encrypting, ordering or acknowledging anything.
type Keeper struct {
	*Signer
	journal *Journal
}

// Keepers returns the members of a star as signers whose messages are durable, in files in a folder: with the hub at once,
// with each receiver after the given time. The Journals are closed with the star.
func (s *Star) Keepers(dir string, gather time.Duration) ([]*Keeper, error) {
	signers, err := s.Signers()
	if err != nil {
		return nil, err
	}
	open := func(name string, gather time.Duration) (*Journal, error) {
		j, err := OpenJournal(filepath.Join(dir, name), gather)
		if err == nil {
			s.journals = append(s.journals, j)
		}
		return j, err
	}
	hub, err := open("hub", 0)
	if err != nil {
		return nil, err
	}
	s.Hub.journal.Store(hub)
	var all []*Keeper
	for i, signer := range signers {
		j, err := open(fmt.Sprint(i), gather)
		if err != nil {
			return nil, err
		}
		all = append(all, &Keeper{signer, j})
	}
	return all, nil
}

// Receive returns the data of the next message of another member, once its signature is verified and it is queued to be
// kept.
func (k *Keeper) Receive(ctx context.Context) ([]byte, error) {
	data, err := k.Signer.Receive(ctx)
	if err == nil {
		k.journal.Note(data)
	}
	return data, err
}
