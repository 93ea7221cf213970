//go:build !linux

package workload

import "errors"

func cutAll() (int, error) { return 0, errors.ErrUnsupported }
