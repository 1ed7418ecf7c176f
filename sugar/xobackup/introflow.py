# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose laptop this is, at first boot: what is asked of the daemon, and which page
follows which.

The wizard's box is told to show_page(page), to show_wizard(nick), and at the end to
finish(offer), or to give_up(). docs/first-boot.md says what the daemon is asked for, and why.
"""

import functools
import logging
import re

from gi.repository import Gio
from gi.repository import GLib

from xobackup import intropages as pages
from xobackup import words
from xobackup.daemon import Error
from xobackup.daemon import Job
from xobackup.words import _

PATIENCE = 3000  # ms that a child waits for a school server that may not be there
_ASK_AGAIN = 20  # s; keeps the daemon there, and finds out what no signal has told

_COLOR = re.compile('#[0-9A-Fa-f]{6},#[0-9A-Fa-f]{6}')


class Offer(object):
    """A child's Journal at school. What nobody knows is empty."""

    def __init__(self, found):
        def get(name, kind):
            value = found.get(name)
            return value if isinstance(value, kind) else kind()
        self.account = get('account', str)
        self.nick = get('nick', str).strip()
        self.color = get('color', str) if _COLOR.fullmatch(get('color', str)) else ''
        self.group = get('group', str).strip()
        self.entries = get('entries', int)
        self.last_backup = get('last_backup', int)


def careful(method):
    """Whatever goes wrong here, the wizard goes on as it was."""
    @functools.wraps(method)
    def wrapper(self, *args):
        try:
            return method(self, *args)
        except Exception:
            logging.exception('backup: the first-boot wizard goes on without its question')
            self._page = None
            self._box.give_up()
    return wrapper


class Flow(object):

    def __init__(self, box, daemon):
        self._box = box
        self._daemon = daemon
        self._page = None  # of ours, that is showing
        self._offers = None  # until the school server has answered
        self._mine = Offer({})
        self._over = False

    @careful
    def begin(self):
        self._show(pages.Waiting())
        GLib.timeout_add(PATIENCE, self._stop_waiting)
        self._daemon.connect('claim-changed', self.__claim_changed_cb)
        self._daemon.call('FindBackups', (), self._found, self._stop_waiting)

    @careful
    def _stop_waiting(self, error=None):
        if self._waits():
            self._leave()

    def _waits(self):
        # Else nothing is taken from under a child's hands.
        return isinstance(self._page, pages.Waiting)

    @careful
    def _found(self, backups):
        self._offers = _offers(backups)
        self._box.server_is_there()
        if self._waits():
            if self._offers:
                self.ask()
            else:
                self._daemon.refresh(self._nothing_offered, self._stop_waiting)

    @careful
    def _nothing_offered(self):
        if self._waits() and self._came_back_before():
            self._finish()
        else:
            self._stop_waiting()

    def _came_back_before(self):
        """Whether this was all answered once, and the power went before the wizard had
        ended: then the profile says already whose it is."""
        settings = Gio.Settings.new('org.sugarlabs.user')
        owner = Offer({name: settings.get_string(key) for name, key in (
            ('nick', 'nick'), ('color', 'color'), ('group', 'group-label'))})
        if self._daemon.get('Account', '') and owner.nick and owner.color:
            self._mine = owner
            return True
        return False

    def is_server_there(self):
        return self._offers is not None

    @careful
    def ask(self):
        """Whose laptop is this?"""
        if not self._offers:
            self._ask_code()
        elif len(self._offers) == 1:
            self._ask_whether(self._offers[0])
        else:
            self._show(pages.Choice(self._offers, chosen=self._ask_whether, none=lambda: self._dismiss('not-me'),
                                    code=self._ask_code))

    @careful
    def _ask_whether(self, offer):
        self._show(pages.Question(
            offer, yes=lambda: self._claim(offer), no=lambda: self._dismiss('afresh'), code=self._ask_code,
            back=self.ask if len(self._offers) > 1 else None))

    @careful
    def _ask_code(self):
        nobody = Offer({})
        self._show(pages.Code(typed=lambda code: self._claim(nobody, code), none=lambda: self._claim(nobody),
                              back=self.ask if self._offers else self._leave))

    @careful
    def _dismiss(self, reason):
        self._daemon.call('Dismiss', (reason,))
        self._leave()

    @careful
    def _claim(self, offer, code=''):
        page = self._page
        page.wait()
        self._mine = offer

        def claimed(state, sign):
            if state == 'granted':
                self._granted()
            else:
                self._await(sign)

        self._daemon.call('Claim', (offer.account, code), claimed, lambda error: page.say(*_why_not(error, code)))

    @careful
    def _await(self, sign):
        """Waits until a person at the school server has let this laptop in."""
        page = pages.Sign(sign, go_on=lambda: self._leave(self._mine.nick))
        self._show(page)

        def ask_again():
            if self._page is page:
                self._daemon.call('Claim', (self._mine.account, ''), lambda state, sign: self._decided(state), failed)
            return self._page is page

        def failed(error):
            if error.name == 'ClaimRefused':
                self._decided('refused')

        GLib.timeout_add_seconds(_ASK_AGAIN, ask_again)

    def __claim_changed_cb(self, daemon, account, state):
        # Whoever looks after the school server may let it into another account.
        if state == 'granted' or account == self._mine.account:
            self._decided(state)

    @careful
    def _decided(self, state):
        if not isinstance(self._page, pages.Sign):
            return  # nobody waits for it here
        if state == 'granted':
            self._granted()
        elif state == 'refused':
            self.ask()
            self._page.say(_('Your teacher has said no. Please ask, or type a code.'))

    @careful
    def _granted(self):
        """This laptop was let in. Where that was by a code, or a person has chosen
        another child, only now it is known whose it is."""
        self._page.wait()
        self._page = None  # it may be told twice
        self._daemon.call('FindBackups', (), self._restore, lambda error: self._restore([]))

    @careful
    def _restore(self, backups):
        account = self._daemon.get('Account', '')
        self._mine = ([offer for offer in _offers(backups) if offer.account == account] + [self._mine])[0]
        page = pages.Progress(self._mine, go_on=self._finish)
        self._show(page)

        def started(path):
            job = Job(self._daemon, path)
            job.connect('progress', lambda job: page.show_progress(job.fraction(), job.seconds_left()))
            job.connect('over', lambda job, result, name, message: over(result, Error(name, message)))

        def over(result, error):
            if result in ('done', 'partial') or error.name == 'NoSnapshot':
                self._finish()
            else:
                page.fail(words.failure(error))

        self._daemon.call('Restore', ('',), started, lambda error: over('failed', error))

    @careful
    def _finish(self):
        if not self._over:
            self._over = True
            self._page = None
            self._box.finish(self._mine)

    def _show(self, page):
        self._page = page
        self._box.show_page(page)

    @careful
    def _leave(self, nick=''):
        self._page = None
        self._box.show_wizard(nick)


def _offers(backups):
    return [offer for offer in map(Offer, backups) if offer.account]


def _why_not(error, code):
    """What a child reads, and what is for who looks after the laptops."""
    if code and error.name == 'InvalidArgument':
        return _('That is not a whole code. Please look at it again: it has eight digits.'), ''
    if code and error.name == 'ClaimRefused':
        return _('The school server does not take this code. Please ask your teacher.'), error.message
    if error.name == 'ClaimRefused':
        return words.failure(error), error.message
    return words.failure(error), ''
