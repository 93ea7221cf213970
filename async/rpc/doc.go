// Package rpc is request and reply over the messenger.
package rpc
