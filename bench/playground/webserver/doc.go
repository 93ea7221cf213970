// Package webserver serves the page of the playground, for msgr sim --http. Its server knows GET
// and HEAD of files and nothing else.
package webserver
