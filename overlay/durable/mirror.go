package durable

import (
	"context"
	"fmt"
)

// Mirror is what memory holds of a store's tables, so that not every question is a query. It is loaded when it is first used.
// Whoever changes the tables changes the mirror in the same write, and has Tx.OnUndo take that back.
type Mirror[S any] struct {
	db   *DB
	load func(*Tx) (*S, error)

	// held is touched only inside the database's reads and writes, of which one runs at a time.
	held *S
}

// NewMirror returns a mirror that load reads from the tables.
func NewMirror[S any](db *DB, load func(*Tx) (*S, error)) *Mirror[S] {
	return &Mirror[S]{db: db, load: load}
}

// Write runs a change of the tables and of what memory holds of them. An error says what was being done.
func (m *Mirror[S]) Write(ctx context.Context, doing string, fn func(*Tx, *S) error) error {
	return m.run(ctx, m.db.Write, doing, fn)
}

// Read runs a query of the tables and of what memory holds of them. An error says what was being done.
func (m *Mirror[S]) Read(ctx context.Context, doing string, fn func(*Tx, *S) error) error {
	return m.run(ctx, m.db.Read, doing, fn)
}

// Check has the database checked, and what memory holds compared with what load reads now.
func (m *Mirror[S]) Check(ctx context.Context, doing string, compare func(tx *Tx, held, now *S) error) error {
	if err := m.db.Check(ctx); err != nil {
		return err
	}
	return m.Read(ctx, doing, func(tx *Tx, held *S) error {
		now, err := m.load(tx)
		if err != nil {
			return err
		}
		return compare(tx, held, now)
	})
}

func (m *Mirror[S]) run(ctx context.Context, in func(context.Context, func(*Tx) error) error, doing string, fn func(*Tx, *S) error) error {
	err := in(ctx, func(tx *Tx) error {
		if m.held == nil {
			held, err := m.load(tx)
			if err != nil {
				return err
			}
			m.held = held
		}
		return fn(tx, m.held)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
