module github.com/asyncmsgr/asyncmsgr/bench

go 1.26.0

require github.com/alecthomas/kong v1.17.0

replace github.com/asyncmsgr/asyncmsgr => ../
