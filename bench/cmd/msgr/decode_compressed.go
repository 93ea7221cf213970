package main

// msgr decode opens what is compressed, by any algorithm.
import _ "github.com/asyncmsgr/asyncmsgr/async/compress/codecs"
