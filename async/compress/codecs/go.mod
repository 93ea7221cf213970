module github.com/asyncmsgr/asyncmsgr/async/compress/codecs

go 1.26.0

replace github.com/asyncmsgr/asyncmsgr => ../../..

require (
	github.com/klauspost/compress v1.20.4 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
)
