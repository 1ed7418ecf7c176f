// Package service is a client of Sugar's running datastore, the D-Bus service
// org.laptop.sugar.DataStore.
//
// While it runs, an entry is put back through its own method update, so that
// the Journal shows it at once and its index knows it. To change the datastore
// behind its back (datastore.Store.Publish, datastore.Swap), it is held: stopped,
// with its name taken, so that nobody can start it again before all is in place.
package service
