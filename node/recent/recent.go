// Package recent remembers the newest of what it is given: a map with a bound, whose oldest entry goes first.
//
// It has no clock and no lock. It may be imported by node and its rooms, and imports nothing.
package recent

// Map remembers the newest entries that were added.
type Map[K comparable, V any] struct {
	most  int
	of    map[K]V
	order []K // oldest first
}

// New returns a map of at most so many entries, which is at least 1.
func New[K comparable, V any](most int) *Map[K, V] {
	return &Map[K, V]{most: most, of: make(map[K]V)}
}

// Add enters a key that is not known, and reports whether it was not. The oldest key makes room.
func (m *Map[K, V]) Add(key K, value V) bool {
	if _, known := m.of[key]; known {
		return false
	}
	m.of[key] = value
	m.order = append(m.order, key)
	if len(m.order) > m.most {
		delete(m.of, m.order[0])
		m.order = m.order[1:]
	}
	return true
}

// Get returns what is known of a key.
func (m *Map[K, V]) Get(key K) (value V, known bool) {
	value, known = m.of[key]
	return value, known
}

// Set changes the value of a key that is known.
func (m *Map[K, V]) Set(key K, value V) {
	if _, known := m.of[key]; known {
		m.of[key] = value
	}
}
