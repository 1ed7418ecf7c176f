// Package profile knows where a child's Sugar profile is, who its owner is,
// which machine this is, and which keys are theirs.
//
// # Words
//
// The profile is the folder SUGAR_HOME/SUGAR_PROFILE (~/.sugar/default). Its
// owner has a nick, a colour and a group, which Sugar keeps in gsettings. The
// machine has a serial and a uuid, from its firmware or, where the firmware
// has none, from the files identifiers/{sn,uuid} that a registration left.
// owner.key is Sugar's own key, of any kind, mostly ssh-dss; it is never
// changed here. backup.key is ours, ed25519.
//
// # Invariants
//
// Private keys are only ever read and used to sign. What is written here is
// written whole or not at all (WriteFile), also when power fails.
package profile
