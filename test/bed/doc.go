// Package bed starts the real things that the product works between, each
// under a folder of its own, so that several can run side by side: an XO (a
// private session bus with Sugar's datastore and our daemon behind it, a home
// and a profile, an owner's key), a school server, and a system bus on which
// stand-ins say how the laptop stands. It fills Journals through the
// datastore's own D-Bus methods, or straight onto the disk, and reads them
// back in both ways.
//
// The end-to-end tests, the demo and the benchmark import it, nothing else
// does. What it starts ends with it: Close waits until every process that
// belongs to the XO or the XS is gone, also those that the bus started.
package bed
