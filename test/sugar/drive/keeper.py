"""When backups are asked for, how anxious the icon is, and what is told: without a
shell, with a daemon that does nothing but note what it is asked."""

import os
import threading
import time

from gi.repository import GLib
from gi.repository import GObject

from xobackup import daemon as daemon_module
from xobackup import journal
from xobackup import keeper
from xobackup import words
from xobackup.daemon import Error

DAY = 24 * 3600
told = []
keeper.notify.notify = lambda summary, body, icon='fresh': told.append((summary, icon))
keeper._SETTLES = keeper._FLAPS = 0


class Daemon(GObject.GObject):
    changed = GObject.Signal('changed')
    job_over = GObject.Signal('job-over', arg_types=[str, str, str, str, str])
    claim_changed = GObject.Signal('claim-changed', arg_types=[str, str])

    def __init__(self, **properties):
        GObject.GObject.__init__(self)
        self.properties = properties
        self.calls = []
        self.failed = []
        self.absent = None

    def get(self, name, default):
        return self.properties.get(name, default)

    def jobs(self):
        return []

    def refresh(self, done=None, failed=None):
        if self.absent:
            failed(self.absent)
            return
        self.changed.emit()
        done()

    def call(self, method, arguments=(), done=None, failed=None):
        self.failed.append(failed)
        self.calls.append((method,) + tuple(a['trigger'].unpack() if isinstance(a, dict) else a for a in arguments))


class Network(GObject.GObject):
    network_available = GObject.Property(type=bool, default=False)
    network_changed = GObject.Signal('network-changed', arg_types=[bool])


def settle():
    """Lets what is due happen."""
    end = time.time() + 0.1
    while time.time() < end:
        GLib.MainContext.default().iteration(False)
        time.sleep(0.01)


def asks_when_a_network_comes():
    daemon, network = Daemon(State='idle', LastBackup=int(time.time())), Network()
    keeper.Keeper(daemon).start(network)
    assert daemon.calls == [('BackupWithOptions', 'schedule')], daemon.calls
    for available in (False, True, True, False, True):  # a burst
        network.network_changed.emit(available)
    settle()
    assert daemon.calls[1:] == [('BackupWithOptions', 'network')], daemon.calls
    daemon.properties['State'] = 'backing-up'
    network.network_changed.emit(True)
    settle()
    assert len(daemon.calls) == 2, daemon.calls


def finds_a_network_that_leads_nowhere():
    """Of which NetworkManager's GNetworkMonitor never says that it is available; and one
    of which it says so after the routes have come."""
    daemon, network = Daemon(State='idle', LastBackup=int(time.time())), Network()
    keeper.Keeper(daemon).start(network)
    network.network_changed.emit(False)
    settle()
    assert daemon.calls[1:] == [('BackupWithOptions', 'network')], daemon.calls
    network.notify('network-available')
    settle()
    assert daemon.calls[2:] == [('BackupWithOptions', 'network')], daemon.calls


def lets_a_network_flap():
    keeper._FLAPS = 60000
    daemon, network = Daemon(State='idle', LastBackup=int(time.time())), Network()
    keeper.Keeper(daemon).start(network)
    for n in range(3):
        network.network_changed.emit(True)
        settle()
    assert daemon.calls[1:] == [('BackupWithOptions', 'network')], daemon.calls
    keeper._FLAPS = 0


def asks_at_a_minute_of_its_own():
    delays = []
    add, GLib.timeout_add_seconds = GLib.timeout_add_seconds, lambda seconds, callback: delays.append(seconds)
    for n in range(100):
        keeper.Keeper(Daemon(State='idle')).start(Network())
    GLib.timeout_add_seconds = add
    assert len(set(delays)) > 50 and max(delays) <= 3600, delays


def waits_for_no_network_manager():
    class Hanging(object):
        @staticmethod
        def get_default():
            hangs.wait()
            return 'a monitor'

    hangs, found = threading.Event(), []
    gio, keeper.Gio = keeper.Gio, type('Gio', (), {'NetworkMonitor': Hanging})
    keeper.find_network(lambda monitor: found.append((monitor, threading.current_thread())))
    assert not found
    hangs.set()
    while not found:
        GLib.MainContext.default().iteration(False)
    keeper.Gio = gio
    assert found == [('a monitor', threading.main_thread())], found


def looks_for_offers_rarely():
    daemon, network = Daemon(State='first-boot'), Network()
    k = keeper.Keeper(daemon)
    k.start(network)
    network.network_changed.emit(True)
    settle()
    k.look()
    assert daemon.calls == [('FindBackups',)], daemon.calls
    # Where the school server was not there, it may be with the next network.
    daemon.failed[-1](Error('ServerUnavailable', ''))
    network.network_changed.emit(True)
    settle()
    assert daemon.calls[1:] == [('FindBackups',)], daemon.calls


def brings_back_once_it_can():
    """A backup that began by itself does not keep a child from its Journal."""
    daemon = Daemon(State='idle')
    k = keeper.Keeper(daemon)
    k.offers.accept('SHC1')
    k.attempt('schedule')  # not now
    k.offers._claimed('granted', '')
    daemon.claim_changed.emit('SHC1', 'granted')
    assert daemon.calls == [('Claim', 'SHC1', ''), ('Restore', '')], daemon.calls
    k.job = Job('/1')
    daemon.failed[-1](Error('Busy', ''))
    assert k.waiting and k.error is None
    k._Keeper__over_cb(k.job, 'done', '', '')
    assert daemon.calls[2:] == [('Restore', '')], daemon.calls
    daemon.failed[-1](Error('ServerUnavailable', ''))
    assert not k.waiting and k.error.name == 'ServerUnavailable'


def hears_of_a_yes_that_nobody_told():
    """The daemon was ended just when the laptop was let in: the next one knows."""
    daemon = Daemon(State='first-boot', Account='')
    k = keeper.Keeper(daemon)
    k.offers.accept('SHC1')
    k.offers._claimed('pending', 'blue fish')
    daemon.changed.emit()
    assert k.offers.sign == 'blue fish'
    daemon.properties.update(State='idle', Account='SHC1')
    daemon.changed.emit()
    assert k.offers.sign is None
    assert daemon.calls == [('Claim', 'SHC1', ''), ('Restore', '')], daemon.calls


class Job(object):
    def __init__(self, path):
        self.path = path


def grows_anxious_by_degrees():
    def mood(absent=None, **properties):
        daemon = Daemon(**properties)
        daemon.absent = absent
        k = keeper.Keeper(daemon)
        k.look()
        return k.mood()

    now = int(time.time())
    assert mood(State='first-boot') == mood(State='unregistered') == 'never'
    assert mood(State='idle', LastBackup=0) == 'alarm'
    assert mood(State='idle', LastBackup=now + DAY) == 'fresh'  # a clock that was set back
    assert mood(State='idle', LastBackup=now - 2 * DAY) == 'fresh'
    assert mood(State='backing-up', LastBackup=now - 4 * DAY) == 'old'
    assert mood(State='idle', LastBackup=now - 8 * DAY) == 'alarm'
    assert mood(State='new-server', LastBackup=now) == 'alarm'
    assert mood(absent=Error('Absent', '')) == 'alarm'


def tells_seldom():
    daemon = Daemon(State='idle', LastBackup=int(time.time()) - 2 * DAY)
    keeper.Keeper(daemon)
    over = daemon.job_over.emit
    over('/1', 'backup', 'done', '', '')
    over('/2', 'backup', 'failed', 'org.laptop.Backup.Error.ServerUnavailable', '')
    over('/3', 'restore', 'cancelled', '', '')
    assert told == [], told
    daemon.properties['LastBackup'] -= 6 * DAY
    for n in range(3):  # once a week
        over('/4', 'backup', 'failed', 'org.laptop.Backup.Error.ServerUnavailable', '')
    keeper.Keeper(Daemon(**daemon.properties))._warn()  # nor after a restart
    assert told == [('Your Journal is not safe', 'alarm')], told
    note = os.path.join(GLib.get_user_cache_dir(), 'xo-backup-warned')
    os.utime(note, (time.time() + 365 * DAY,) * 2)  # a clock that was ahead
    keeper.Keeper(Daemon(**daemon.properties))._warn()
    assert told.pop() == told[0], told
    for result in ('done', 'partial', 'failed'):
        daemon.job_over.emit('/5', 'restore', result, '', '')
    assert [icon for summary_, icon in told[1:]] == ['fresh', 'old', 'alarm'], told


def does_not_blame_a_child_for_a_crash():
    """The next daemon does not know the job, which is no wrong argument of anybody's."""
    class Killed(Daemon):
        def listen(self, *arguments):
            return 1

        ask = unlisten = listen

        def call(self, method, arguments=(), done=None, failed=None, forever=False):
            failed(Error('InvalidArgument', 'No job 1 is known.'))

    add, GLib.timeout_add_seconds = GLib.timeout_add_seconds, lambda seconds, callback, *rest: waits.append((callback, rest))
    waits, ended = [], []
    job = daemon_module.Job(Killed(), '/1')
    job.connect('over', lambda job, *what: ended.append(what))
    while waits:
        callback, rest = waits.pop()
        callback(*rest)
    GLib.timeout_add_seconds = add
    assert ended == [('failed', 'Lost', '')], ended
    assert words.failure(Error(*ended[0][1:])).startswith('It did not work'), ended


def gives_up_on_a_journal_that_is_elsewhere():
    assert journal._look(time.monotonic() + 1)
    assert not journal._look(time.monotonic() - 1)


asks_when_a_network_comes()
finds_a_network_that_leads_nowhere()
lets_a_network_flap()
waits_for_no_network_manager()
asks_at_a_minute_of_its_own()
looks_for_offers_rarely()
brings_back_once_it_can()
hears_of_a_yes_that_nobody_told()
grows_anxious_by_degrees()
gives_up_on_a_journal_that_is_elsewhere()
tells_seldom()
does_not_blame_a_child_for_a_crash()
