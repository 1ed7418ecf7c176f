# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame's icon: how new the school's copy of the Journal is, at a glance."""

import logging

from gi.repository import GLib

from sugar3 import profile
from sugar3.graphics.tray import TrayIcon

from jarabe.frame.frameinvoker import FrameWidgetInvoker

from xobackup import icon_file
from xobackup.words import _

# Seconds that the shell is left in peace when it starts.
_PEACE = 5


class BackupIcon(TrayIcon):

    FRAME_POSITION_RELATIVE = 140

    def __init__(self):
        TrayIcon.__init__(self, xo_color=profile.get_color())
        self.set_palette_invoker(FrameWidgetInvoker(self))
        self.palette_invoker.props.toggle_palette = True
        self.get_accessible().set_name(_('School backup'))
        self._keeper = None
        self._show('never')
        GLib.timeout_add_seconds(_PEACE, self.__peace_over_cb)

    def create_palette(self):
        try:
            from xobackup.palette import BackupPalette
            return BackupPalette(self._get_keeper())
        except Exception:
            # The package was upgraded or removed under the shell: at the next start.
            logging.exception('backup: the icon has no palette')
            return None

    def _get_keeper(self):
        """Made when it is first needed: it speaks to the daemon."""
        if self._keeper is None:
            from xobackup.daemon import get_daemon
            from xobackup.keeper import Keeper
            self._keeper = Keeper(get_daemon())
            self._keeper.connect('changed', self.__changed_cb)
        return self._keeper

    def _show(self, mood):
        self.icon.props.file = icon_file(mood)
        self.icon.queue_draw()

    def __peace_over_cb(self):
        try:
            from xobackup.keeper import find_network
            find_network(self._get_keeper().start)
        except Exception:
            logging.exception('backup: nobody asks for backups')
        return False

    def __changed_cb(self, keeper):
        self._show(keeper.mood())
