# SPDX-License-Identifier: GPL-3.0-or-later
"""The control panel's backup at the school server.

Sugar asks for a backend's conditions in its main loop, and takes nothing but the two
exceptions of backend_tools for an answer. It has no way to show a failure: see
xobackup.panel.
"""

from xobackup import panel
from xobackup import words
from xobackup.daemon import Error
from xobackup.daemon import Job
from xobackup.daemon import get_daemon
from xobackup.daemon import typed
from xobackup.words import _

from .backend_tools import Backend
from .backend_tools import PreConditionsChoose
from .backend_tools import PreConditionsError

# Seconds that the shell may stand still, waiting for the school server.
_PATIENCE = 4


def get_name():
    return _('School server')


def get_backup():
    return Backup()


def get_restore():
    return Restore()


class _Operation(Backend):
    """What is the same in both directions: a job of the daemon's, followed."""

    METHOD = None
    PARTLY = None  # what is said where not all went well

    def __init__(self):
        Backend.__init__(self)
        self._job = None
        self._cancelled = False

    def start(self):
        self.emit('started')
        get_daemon().call(self.METHOD, self._arguments(), self.__begun_cb, self.__failed_cb)

    def cancel(self):
        self._cancelled = True
        if self._job is not None:
            self._job.cancel()

    def _arguments(self):
        return ()

    def __begun_cb(self, path):
        self._job = Job(get_daemon(), path)
        self._job.connect('progress', self.__progress_cb)
        self._job.connect('over', self.__over_cb)
        if self._cancelled:
            self._job.cancel()

    def __progress_cb(self, job):
        if job.fraction() is not None:
            self.emit('progress', job.fraction())
        panel.say(self, ' '.join((words.work(job.get('Operation', ''), job.get('Phase', '')),
                                  words.left(job.seconds_left()))).strip())

    def __over_cb(self, job, result, error_name, message):
        if result == 'failed':
            self.__failed_cb(Error(error_name, message))
        elif result == 'cancelled':
            self.emit('cancelled')
            panel.say(self, _('It was cancelled.'))
        else:
            self.emit('finished')
            if result == 'partial':
                panel.say(self, self.PARTLY)

    def __failed_cb(self, error):
        self.emit('cancelled')
        panel.fail(self, words.failure(error))


class Backup(_Operation):

    METHOD = 'Backup'
    PARTLY = _('Some entries could not be read. All else is safe at school.')

    def __init__(self):
        _Operation.__init__(self)
        self._question = get_daemon().question('CheckServer')

    def verify_preconditions(self, option=None):
        """A server that takes long to answer may be there: the job will tell."""
        self._question.wait(_PATIENCE)
        _check(self._question)


class Restore(_Operation):

    METHOD = 'Restore'
    PARTLY = _('Not everything could be brought back. Please tell your teacher.')

    _question = None

    def __init__(self):
        _Operation.__init__(self)
        self._snapshot = None
        if Restore._question is None or Restore._question.over():
            Restore._question = get_daemon().question('ListSnapshots')

    def verify_preconditions(self, option=None):
        if option and 'snapshot' in option:
            self._snapshot = option['snapshot']
            panel.confirm(self, _('What this backup has and your Journal has not, will be brought back. '
                                  'What is in your Journal now stays.'))
            return
        question = Restore._question
        if not question.wait(_PATIENCE):
            # It goes on. Who tries again waits for the same answer.
            raise PreConditionsError(panel.fit(_('The school server takes long to answer. Please try again.')))
        _check(question)
        options = [_option(snapshot) for snapshot in question.answer[0]]
        if not options:
            _fail(Error('NoSnapshot', ''))
        text = _('Which backup shall be brought back? Your Journal will not be emptied: what is missing in it is added.')
        raise PreConditionsChoose(panel.fit(text), {'parameter': 'snapshot', 'options': options})

    def _arguments(self):
        return (self._snapshot,)


def _check(question):
    if question.error is not None:
        _fail(question.error)


def _fail(error):
    raise PreConditionsError(panel.fit(words.failure(error)))


def _option(snapshot):
    when, entries = typed(snapshot, 'time', 0), typed(snapshot, 'entries', 0)
    return {
        'description': '%s: %s' % (words.moment(when), words.entries(entries)),
        'value': typed(snapshot, 'id', ''),
    }
