package uplink

import "testing"

// TestStrangeRoutes: what is no route, or a damaged one, is left out.
func TestStrangeRoutes(t *testing.T) {
	routes := Routes(map[string][]byte{
		"code/A": []byte("{}"), "route/": nil, "route/x": []byte("/ip4/127.0.0.1/tcp/1"),
		"route/12D3KooWGRUVh7Zpxb1m4CmAUGL3dmCFgVvLbLVjTxWnQkiQ6gtg": []byte("nonsense"),
	})
	if len(routes) != 0 {
		t.Errorf("took %v", routes)
	}
	if n := len(Routes(nil)); n != 0 {
		t.Errorf("%d routes of nothing", n)
	}
}
