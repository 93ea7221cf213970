package command

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOneLine: errors that were joined do not break the line.
func TestOneLine(t *testing.T) {
	var stderr bytes.Buffer
	require.Equal(t, ExitFault,
		complain(&stderr, "msgr x", "msgr x y", errors.Join(errors.New("a"), errors.New("b\r\nc"))))
	require.Equal(t, "msgr x: a; b; c\n", stderr.String())
}

func TestLongFlags(t *testing.T) {
	require.Equal(t, []string{"ping", "--count", "5", "-h", "--interval=1s", "v2:1.2.3.4:3300/0", "-1", "--", "-count"},
		LongFlags([]string{"ping", "-count", "5", "-h", "-interval=1s", "v2:1.2.3.4:3300/0", "-1", "--", "-count"}))
}
