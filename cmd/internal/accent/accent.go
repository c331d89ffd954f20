package accent

import "hash/fnv"

// Count is how many accent colours there are. web.css names them [data-accent="0"] and on.
const Count = 12

// Of returns the number of a role's accent colour. The demonstration's A, B and C have the first three.
func Of(role string) int {
	if len(role) == 1 && role[0] >= 'A' && role[0] <= 'C' {
		return int(role[0] - 'A')
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(role)) // never fails
	return int(h.Sum32() % Count)
}
