# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said about backups, in the child's language.

A translation that is missing is English; one that is broken is, too.
"""

import gettext
import logging
import os
import time

DOMAIN = 'xo-backupd'


def _translation():
    here = os.path.dirname(os.path.abspath(__file__))
    for folder in (os.environ.get('TEXTDOMAINDIR'), os.path.join(here, 'locale'), None):
        try:
            return gettext.translation(DOMAIN, folder)
        except OSError:
            continue
        except Exception as e:
            logging.error('backup: a translation is broken: %s', e)
    return gettext.NullTranslations()


_texts = _translation()


def _(text):
    return _texts.gettext(text)


def ngettext(one, many, n):
    return _texts.ngettext(one, many, n)


def entries(n):
    """'412 entries'"""
    return ngettext('%d entry', '%d entries', n) % n


def when(seconds):
    """A day in words: 'today at 14:30', 'on Tuesday', 'on 2026-11-23'."""
    if not seconds:
        return _('never')
    if _days_ago(seconds) == 0:
        return _('today at %s') % time.strftime('%H:%M', local(seconds))
    return day(seconds)


def day(seconds):
    """A day alone: 'today', 'on Tuesday'."""
    then, days = local(seconds), _days_ago(seconds)
    if days == 0:
        return _('today')
    if days == 1:
        return _('yesterday')
    if 1 < days < 7:
        return _('on %s') % time.strftime('%A', then)
    return _('on %s') % time.strftime('%x', then)


def moment(seconds):
    """A day and an hour in words: 'yesterday, 14:30'."""
    return _('%(day)s, %(time)s') % {'day': day(seconds), 'time': time.strftime('%H:%M', local(seconds))}


def _days_ago(seconds):
    return (_noon(time.localtime()) - _noon(local(seconds))) // 86400


def local(seconds):
    """As time.localtime, of any number."""
    try:
        return time.localtime(seconds)
    except (OverflowError, ValueError, OSError):  # no time of this world
        return time.localtime(0)


def _noon(t):
    return int(time.mktime((t.tm_year, t.tm_mon, t.tm_mday, 12, 0, 0, 0, 0, -1)))


def left(seconds):
    """Time left: 'about 3 minutes left', '' where nobody can tell."""
    if seconds is None:
        return ''
    if seconds < 50:
        return _('less than a minute left')
    minutes = int((seconds + 59) // 60)
    if minutes < 60:
        return ngettext('about %d minute left', 'about %d minutes left', minutes) % minutes
    hours = (minutes + 30) // 60
    return ngettext('about %d hour left', 'about %d hours left', hours) % hours


def work(operation, phase):
    """What a job does."""
    if phase == 'waiting':
        return _('Waiting for the school server…')
    return {
        'backup': _('Saving your Journal at school…'),
        'restore': _('Bringing your Journal back…'),
    }.get(operation) or _('Working…')


def offer(backup):
    """What the school server offers: 'Amara, 412 entries, saved on Tuesday'."""
    return _('%(name)s, %(entries)s, saved %(day)s') % {
        'name': backup.get('nick') or backup.get('account'),
        'entries': entries(backup.get('entries', 0)),
        'day': when(backup.get('last_backup', 0)),
    }


def failure(error):
    """Why something failed, and what to do. error has a name and a message; the
    daemon's own message is English and is the last resort."""
    return {
        'Absent': _('The backup service does not answer. Please ask whoever looks after the laptops.'),
        'NotRegistered': _('This laptop is not registered with the school server yet.'),
        'ServerUnavailable': _('The school server is not in reach. Is this the school\'s network?'),
        'ServerBusy': _('The school server is busy. Please try again later.'),
        'ServerRefused': _('The school server does not do that for this laptop. Please tell your teacher.'),
        'WrongServer': _('Another server answers than your school\'s. Nothing was sent. Please tell your teacher.'),
        'NoSnapshot': _('The school server has no backup of this Journal yet.'),
        'NoEntry': _('This entry is not there any more.'),
        'ClaimRefused': _('The school server does not let this laptop in. Please ask your teacher.'),
        'Damaged': _('What the school server keeps is damaged. Please tell your teacher.'),
        'InvalidArgument': _('This cannot be right. Please look at it again.'),
        'DiskFull': _('The laptop is full. Remove something from the Journal, then try again.'),
        'Busy': _('Another backup or restore is running. Please wait until it is over.'),
        'Cancelled': _('It was cancelled.'),
    }.get(error.name) or error.message or _('It did not work. Please try again later.')
