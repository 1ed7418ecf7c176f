// Package e2e holds the end-to-end tests: real Sugar datastores on private
// buses, our programs as they are installed, an XS on loopback ports. Each
// file is one promise.
package e2e
