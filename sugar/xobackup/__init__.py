# xo-backupd in Sugar's shell.
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plugs xo-backupd into Sugar's shell.

It speaks D-Bus and draws; all else is the daemon's work (org.laptop.Backup).

daemon   the daemon, without ever waiting for it
words    what is said about backups, in the child's language
journal  the button in the Journal's toolbar, and a look into a snapshot
intro    the first-boot wizard's page; introflow and intropages are what it does and shows
hook     how it gets into the wizard, which has no place for it: see ../xobackup.pth

The extensions that Sugar loads by itself are in ../extensions: the frame's icon
(deviceicon) and the control panel's backend (cpsection/backup/backends).
"""
