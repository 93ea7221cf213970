//go:build !linux

package workload

func raiseFiles() error { return nil }

func cannot(Scenario) string { return "" }

func allowTracing() {}
