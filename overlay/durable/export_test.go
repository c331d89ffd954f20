package durable

// Waiting returns how many writes are queued now. It never waits itself.
func (d *DB) Waiting() int { return len(d.jobs) }
