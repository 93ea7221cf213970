package entity

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAuthNameIs: which numbers go with a proved name.
func TestAuthNameIs(t *testing.T) {
	const global = 4123
	for _, tc := range []struct {
		name string
		is   Name
		want bool
	}{
		{"osd.3", OSD(3), true},
		{"osd.3", OSD(4), false},
		{"osd.3", OSD(-1), false},
		{"osd.3", MDS(3), false},
		{"osd.3", Client(3), false},
		{"osd.x", OSD(3), false},
		{"mds.a", MDS(0), true},
		{"mds.a", OSD(0), false},
		{"mds.1", MDS(0), false},
		{"client.admin", Client(17), true},
		{"client.admin", Client(-1), true},
		{"client.admin", OSD(17), false},
		{"client.5", Client(5), true},
		{"client.5", Client(-1), true},
		{"client.5", Client(global), true},
		{"client.5", Client(6), false},
		{"client.99999999999999999999", Client(6), true},
	} {
		a, err := ParseAuthName(tc.name)
		require.NoError(t, err)
		require.Equal(t, tc.want, a.Is(tc.is, global), "%s as %s", tc.name, tc.is)
	}
	require.False(t, AuthName{TypeClient, "5"}.Is(Client(0), 0), "no number was given")
}
