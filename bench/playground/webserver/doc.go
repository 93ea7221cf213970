// Package webserver serves the page of the playground, for msgr sim --http. Its server knows GET
// and HEAD of files and nothing else: msgr is without net/http, which is larger than msgr.
package webserver
