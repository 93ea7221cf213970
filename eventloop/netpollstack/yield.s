//go:build linux && (amd64 || arm64 || loong64)

// A file of this kind allows the package functions without a body: yieldLocal.
