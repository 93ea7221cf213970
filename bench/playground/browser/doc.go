// Package browser tests the page of the playground in a headless Chromium. It is a module of
// its own, outside of the workspace, because of what drives the browser.
//
// The tests are skipped where there is no chromium, unless ASYNCMSGR_CHROMIUM is require.
package browser
