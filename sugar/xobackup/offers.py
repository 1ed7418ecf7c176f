# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose Journal is this? What the school server offers to a laptop that was set up
anew, until somebody answers."""

import time

from gi.repository import GLib
from gi.repository import GObject

from xobackup.daemon import Error

# Seconds between two questions that nobody has asked for: each is an ssh connection.
_RARELY = 60

_FIELDS = {'account': str, 'nick': str, 'color': str, 'entries': int, 'last_backup': int}


class Offers(GObject.GObject):
    """backups: what is offered, newest first, as FindBackups has it.
    sign: to be shown to a teacher, who lets this laptop in; None where nobody is asked.
    error: why the last answer came to nothing, or None.
    """

    changed = GObject.Signal('changed')
    # This laptop was let in as somebody here has asked: the Journal is to be brought back.
    let_in = GObject.Signal('let-in')

    def __init__(self, daemon):
        GObject.GObject.__init__(self)
        self.backups = []
        self.sign = None
        self.error = None
        self._daemon = daemon
        self._accepted = False  # somebody said yes here, and it is still to be brought back
        self._looked = None
        self._was = ''  # the account when somebody said yes
        daemon.connect('claim-changed', self.__claim_changed_cb)
        daemon.connect('changed', self.__changed_cb)

    def waiting(self):
        """Whether somebody has said yes, and the school server has not answered yet."""
        return self._accepted and self.sign is None

    def open(self):
        """Whether it is still to be said, or done, whose Journal this is."""
        return bool(self.backups) or self.sign is not None or self._accepted

    def look(self):
        """Asks what there is, where nobody has said yet whose laptop this is, or what
        was let in may not have been brought back."""
        state = self._daemon.get('State', '')
        unanswered = state == 'first-boot' or state == 'idle' and not self._daemon.get('LastBackup', 0)
        if not unanswered or self.sign is not None or self._accepted:
            return
        if self._looked is not None and time.monotonic() - self._looked < _RARELY:
            return
        self._looked = time.monotonic()
        self._daemon.call('FindBackups', (), self._found, self._nobody_there)

    def accept(self, account, code=''):
        """Yes, that is me."""
        self._accepted = True
        self._was = self._daemon.get('Account', '')
        self._set(sign=self.sign)
        self._daemon.call('Claim', (account, code), self._claimed, self._refused)

    def dismiss(self, reason):
        """later, afresh, not-me"""
        self._accepted = False
        self._set(backups=[])
        self._daemon.call('Dismiss', (reason,), None, self._refused)

    def _found(self, backups):
        self._set(backups=[b for b in backups if all(isinstance(b.get(k), _FIELDS[k]) for k in _FIELDS)])

    def _nobody_there(self, error):
        self._looked = None  # the next network may be the school's

    def _claimed(self, state, sign):
        if state == 'granted':
            self._let_in()
        else:
            self._set(backups=self.backups, sign=sign)

    def _refused(self, error):
        self._accepted = False
        self._looked = None
        self._set(backups=self.backups, error=error)

    def _let_in(self):
        """Once: it is told by the answer and by a signal."""
        accepted, self._accepted = self._accepted, False
        if accepted:
            self.let_in.emit()
        self._set(backups=[])

    def _set(self, backups=None, sign=None, error=None):
        if backups is not None:
            self.backups = backups
        self.sign, self.error = sign, error
        self.changed.emit()

    def __changed_cb(self, daemon):
        # A daemon that was not there when it was let in tells nobody.
        if self.sign is not None and daemon.get('Account', '') not in ('', self._was):
            self._let_in()

    def __claim_changed_cb(self, daemon, account, state):
        if state == 'granted':
            self._let_in()
        elif state == 'refused':
            self._refused(Error('ClaimRefused', ''))
