# xo-backupd in Sugar's shell.
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plugs xo-backupd into Sugar's shell.

It speaks D-Bus and draws; all else is the daemon's work (org.laptop.Backup).

daemon   the daemon, without ever waiting for it
words    what is said about backups, in the child's language
keeper   sees to it that backups are made, and knows how things stand
offers   whose Journal this is, on a laptop that was set up anew
panel    what Sugar's backup panel cannot be told otherwise
palette  what the frame's icon shows and asks
frame    the frame's icon
notify   Sugar's notifications
journal  the button in the Journal's toolbar, and a look into a snapshot
intro    the first-boot wizard's page; introflow and intropages are what it does and shows
hook     how it gets into the wizard, which has no place for it: see ../xobackup.pth

The extensions that Sugar loads by itself are in ../extensions: the frame's icon
(deviceicon) and the control panel's backend (cpsection/backup/backends).
"""

import os


def icon_file(name):
    """Icons of ours, in the owner's colours: fresh, old, alarm, never, ask."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), 'icons', name + '.svg')
