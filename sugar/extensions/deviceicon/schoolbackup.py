# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame's icon of the backup at school."""

from xobackup.frame import BackupIcon


def setup(tray):
    tray.add_device(BackupIcon())
