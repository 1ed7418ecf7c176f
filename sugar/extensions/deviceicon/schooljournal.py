# SPDX-License-Identifier: GPL-3.0-or-later
"""No icon: it is how the button gets into the Journal, which loads no extensions."""


def setup(tray):
    from xobackup import journal
    journal.watch()
