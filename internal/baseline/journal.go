package baseline

import (
	"bytes"
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

// Journals makes what the members of a star publish durable, in files in a folder, where records wait for others for the given
// time: with the hub, and with each member what is noted in its Journal. It returns the members' Journals; they are closed with
// the star.
func (s *Star) Journals(dir string, gather time.Duration) ([]*Journal, error) {
	open := func(name string) (*Journal, error) {
		j, err := OpenJournal(filepath.Join(dir, name), gather)
		if err == nil {
			s.journals = append(s.journals, j)
		}
		return j, err
	}
	hub, err := open("hub")
	if err != nil {
		return nil, err
	}
	s.Hub.journal.Store(hub)
	var all []*Journal
	for i := range s.Members {
		j, err := open(fmt.Sprint(i))
		if err != nil {
			return nil, err
		}
		all = append(all, j)
	}
	return all, nil
}
