module github.com/asyncmsgr/asyncmsgr/bench/cluster

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0
	github.com/asyncmsgr/asyncmsgr v0.0.0-00010101000000-000000000000
	github.com/asyncmsgr/asyncmsgr/async/resolve/etcd v0.0.0-00010101000000-000000000000
	github.com/asyncmsgr/asyncmsgr/bench v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.11.1
	go.etcd.io/etcd/client/v3 v3.7.3
	go.uber.org/zap v1.27.1
)

require (
	github.com/bytedance/gopkg v0.1.1 // indirect
	github.com/charmbracelet/x/term v0.2.2 // indirect
	github.com/cloudwego/gopkg v0.1.4 // indirect
	github.com/cloudwego/netpoll v0.7.2 // indirect
	github.com/coreos/go-semver v0.3.1 // indirect
	github.com/coreos/go-systemd/v22 v22.7.0 // indirect
	github.com/davecgh/go-spew v1.1.2-0.20180830191138-d8f796af33cc // indirect
	github.com/golang/protobuf v1.5.4 // indirect
	github.com/grpc-ecosystem/grpc-gateway/v2 v2.29.0 // indirect
	github.com/panjf2000/ants/v2 v2.12.1 // indirect
	github.com/pmezard/go-difflib v1.0.1-0.20181226105442-5d4384ee4fb2 // indirect
	go.etcd.io/etcd/api/v3 v3.7.3 // indirect
	go.etcd.io/etcd/client/pkg/v3 v3.7.3 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20260803160001-6ac0973c030d // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260803160001-6ac0973c030d // indirect
	google.golang.org/grpc v1.83.2 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)

replace (
	github.com/asyncmsgr/asyncmsgr => ../..
	github.com/asyncmsgr/asyncmsgr/async/resolve/etcd => ../../async/resolve/etcd
	github.com/asyncmsgr/asyncmsgr/bench => ../
)

replace github.com/asyncmsgr/asyncmsgr/async/compress/codecs => ../../async/compress/codecs
