package threadpipe

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/stretchr/testify/require"
)

// neverCounted are the counters that these messengers have no use for.
var neverCounted = map[string]string{
	"Lent":               "there are no workers to be lent",
	"SlowFastDispatches": "a fast dispatcher holds up the thread of its own connection only, which nobody watches",
	"Compressed":         notCompressed, "CompressedFrom": notCompressed, "CompressedTo": notCompressed,
	"CompressedInVain": notCompressed, "Decompressed": notCompressed, "DecompressedFrom": notCompressed,
	"DecompressedTo": notCompressed,
}

const notCompressed = "compression is not offered"

// TestEveryCounterIsCounted looks into the source for who adds to each counter. That they
// are right, the suite of sessiontest and async's own tests say.
func TestEveryCounterIsCounted(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var source strings.Builder
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			source.Write(text)
		}
	}
	counts := reflect.TypeFor[connection.Counts[uint64]]()
	require.Greater(t, counts.NumField(), 20)
	for i := range counts.NumField() {
		name := counts.Field(i).Name
		counted := regexp.MustCompile(`\.` + name + `(\[[^]]*\])?\.Add\(`).MatchString(source.String())
		_, never := neverCounted[name]
		require.NotEqual(t, never, counted, "%s: counted %v, to be counted %v", name, counted, !never)
	}
}
