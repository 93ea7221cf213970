// Package dashboard has tests alone: that the dashboard docs/grafana/asyncmsgr.json asks for what
// async/export/prom gives. It is a module of its own, since Prometheus' parser of queries is
// needed by nobody else.
package dashboard
