# SPDX-License-Identifier: GPL-3.0-or-later
"""What the frame's icon shows and asks."""

from gi.repository import GLib
from gi.repository import Gtk
from gi.repository import Pango

from sugar3.graphics import style
from sugar3.graphics.icon import Icon
from sugar3.graphics.palette import Palette
from sugar3.graphics.palettemenu import PaletteMenuBox
from sugar3.graphics.palettemenu import PaletteMenuItem
from sugar3.graphics.palettemenu import PaletteMenuItemSeparator
from sugar3.graphics.xocolor import XoColor

from xobackup import words
from xobackup.daemon import Error
from xobackup.words import _

_WIDTH = 34  # characters of a line


class BackupPalette(Palette):
    """One page at a time: how things stand, the job that runs, or a question."""

    def __init__(self, keeper):
        Palette.__init__(self, _('School backup'))
        self.set_group_id('frame')
        self._keeper = keeper
        self._asking = None  # what is asked before it is done: restore, code
        self._page = None  # what is shown, so that it is made anew only when that changes
        self._message = self._progress = self._left = self._entry = None
        keeper.connect('changed', self.__changed_cb)
        self.connect('popup', self.__popup_cb)
        self.connect('popdown', self.__popdown_cb)
        self._show()

    def _show(self):
        page, build = self._choose()
        if page != self._page:
            self._page = page
            self._box = PaletteMenuBox()
            self._message = self._progress = self._left = self._entry = None
            build()
            self._box.show()
            self.set_content(self._box)
            if self._entry is not None:
                self._entry.grab_focus()
        self._fill()
        if self.is_up():
            self._settle()

    def _settle(self):
        """Finds its place on the frame again. What shrinks does so before it is moved:
        it would cover the icon, and Sugar take that for the mouse going away."""
        shrinks = self._widget.size_request().height < self._widget.get_allocated_height()
        self._update_full_request()
        self._alignment = self.props.invoker.get_alignment(self.get_full_size_request())
        if shrinks:
            GLib.idle_add(self._place)
        else:
            self._place()

    def _place(self):
        self.update_position()
        self.props.invoker.props.widget.queue_draw()  # its frame is open where the palette is
        return False

    def _choose(self):
        """What is to be shown: a key that changes with it, and the function that
        makes it."""
        keeper = self._keeper
        if keeper.absent:
            return ('absent',), self._build_absent
        if keeper.job is not None:
            return ('job', keeper.job.get('Cancelable', True)), self._build_job
        if keeper.offers.sign:
            return ('sign', keeper.offers.sign), self._build_sign
        if self._asking == 'code' and keeper.state() != 'idle':
            return ('code',), self._build_code
        if keeper.waiting or keeper.offers.waiting():
            return ('waiting',), self._build_waiting
        if keeper.offers.backups:
            return ('offers', str(keeper.offers.backups)), self._build_offers
        if self._asking == 'restore':
            return ('restore',), self._build_restore
        return ('state', keeper.state()), self._build_state

    def _fill(self):
        """Brings what is shown up to date."""
        if self._message is not None:
            text = self._text()
            self._message.set_text(text)
            self._message.set_visible(bool(text))
        if self._progress is not None:
            self._fill_progress(self._keeper.job)

    def _text(self):
        keeper = self._keeper
        if keeper.absent:
            return words.failure(keeper.absent)
        if keeper.job is not None:
            return words.work(keeper.job.get('Operation', ''), keeper.job.get('Phase', ''))
        if keeper.waiting or keeper.offers.waiting():
            return words.work('', '')
        lines = [] if self._page[0] in ('code', 'offers') else [self._standing()]
        error = keeper.error or keeper.offers.error
        if error:
            lines.append(words.failure(error))
        return '\n'.join(lines)

    def _standing(self):
        """How things stand."""
        keeper = self._keeper
        if not keeper.state():
            return '…'  # nobody has said yet
        if keeper.state() == 'new-server':
            return words.failure(Error('WrongServer', ''))
        if keeper.state() in ('unregistered', 'first-boot') and not keeper.last_backup():
            return words.failure(Error('NotRegistered', ''))
        return _('Last backup: %s') % words.when(keeper.last_backup())

    def _fill_progress(self, job):
        fraction = job.fraction()
        if fraction is None:
            self._progress.pulse()
        else:
            self._progress.set_fraction(fraction)
        left = words.left(job.seconds_left())
        self._left.set_text(left)
        self._left.set_visible(bool(left))

    def _build_absent(self):
        self._message = self._add_label()
        self._add_item(_('Try again'), 'view-refresh', self._keeper.look)

    def _build_waiting(self):
        self._message = self._add_label()

    def _build_state(self):
        self._message = self._add_label()
        state = self._keeper.state()
        if state == 'idle':
            self._add_separator()
            self._add_item(_('Back up now'), 'transfer-to', self._keeper.back_up)
            self._add_item(_('Bring my Journal back…'), 'transfer-from', self._ask, 'restore')
        elif state in ('unregistered', 'first-boot'):
            self._add_separator()
            self._add_item(_('Register with the school server'), 'list-add', self._keeper.register)
            self._add_code_item()

    def _build_job(self):
        self._message = self._add_label()
        self._progress = Gtk.ProgressBar()
        self._progress.set_pulse_step(0.1)
        self._progress.show()
        self._box.append_item(self._progress, vertical_padding=0)
        self._left = self._add_label()
        if self._keeper.job.get('Cancelable', True):
            self._add_separator()
            self._add_item(_('Cancel'), 'dialog-cancel', self._keeper.cancel)

    def _build_restore(self):
        self._add_label(_('Bring back what is missing here from the last backup? What is in your Journal now stays.'))
        self._add_separator()
        self._add_item(_('Yes, bring it back'), 'dialog-ok', self._restore)
        self._add_item(_('No'), 'dialog-cancel', self._ask, None)

    def _build_code(self):
        self._add_label(_('The code that your teacher gave you:'))
        self._entry = Gtk.Entry()
        self._entry.set_width_chars(12)
        self._entry.show()
        self._box.append_item(self._entry, vertical_padding=0)
        self._message = self._add_label()
        self._add_separator()
        self._add_item(_('Bring my Journal back'), 'dialog-ok', self._try_code)
        self._add_item(_('Back'), 'go-previous', self._ask, None)

    def _build_offers(self):
        offers = self._keeper.offers
        one = len(offers.backups) == 1
        self._add_label(_('Is this you?') if one else _('Which one is you?'), bold=True)
        for backup in offers.backups:
            if one:
                self._add_owner(backup)
            else:
                self._add_item(words.offer(backup), 'computer-xo', offers.accept, backup['account'],
                               color=XoColor(backup['color']))
        self._message = self._add_label()
        self._add_separator()
        if one:
            self._add_item(_('Yes, bring my Journal back'), 'dialog-ok', offers.accept, offers.backups[0]['account'])
        self._add_item(_('Not now'), 'go-right', offers.dismiss, 'later')
        self._add_item(_('Not me') if one else _('None of them'), 'dialog-cancel', offers.dismiss, 'not-me')
        if any(backup.get('claim') == 'code' for backup in offers.backups):
            self._add_code_item()

    def _build_sign(self):
        self._add_label(_('Show this to your teacher, who can let you in:'))
        self._add_label(self._keeper.offers.sign, bold=True, size=style.zoom(28))
        self._add_separator()
        self._add_item(_('Not me'), 'dialog-cancel', self._keeper.offers.dismiss, 'not-me')

    def _add_label(self, text='', bold=False, size=None):
        label = Gtk.Label(label=text)
        label.set_line_wrap(True)
        label.set_line_wrap_mode(Pango.WrapMode.WORD_CHAR)
        label.set_max_width_chars(_WIDTH)
        label.set_xalign(0)
        if bold:
            font = Pango.FontDescription('bold')
            if size:
                font.set_absolute_size(size * Pango.SCALE)
            label.override_font(font)
        label.show()
        self._box.append_item(label, vertical_padding=style.DEFAULT_PADDING)
        return label

    def _add_owner(self, backup):
        """Whose it is: an XO in their colours, with their name."""
        row = Gtk.HBox(spacing=style.DEFAULT_SPACING)
        row.pack_start(Icon(icon_name='computer-xo', xo_color=XoColor(backup['color']),
                            pixel_size=style.STANDARD_ICON_SIZE), False, False, 0)
        label = Gtk.Label(label=words.offer(backup))
        label.set_line_wrap(True)
        label.set_max_width_chars(_WIDTH - 8)
        label.set_xalign(0)
        row.pack_start(label, False, False, 0)
        row.show_all()
        self._box.append_item(row)

    def _add_item(self, text, icon_name, action, *arguments, **kwargs):
        item = PaletteMenuItem(text, icon_name, xo_color=kwargs.get('color'))
        item.connect('activate', self.__activate_cb, action, arguments)
        # Else the palette would go away.
        item.connect('button-release-event', lambda *event: True)
        self._box.append_item(item)

    def _add_code_item(self):
        self._add_item(_('I have a code…'), 'toolbar-edit', self._ask, 'code')

    def _add_separator(self):
        separator = PaletteMenuItemSeparator()
        self._box.append_item(separator)
        separator.show()

    def _ask(self, question):
        self._asking = question
        self._show()

    def _try_code(self):
        code = self._entry.get_text().strip()
        if code:  # without one, it would ask the teacher
            self._keeper.offers.accept('', code)

    def _restore(self):
        self._asking = None
        self._keeper.restore()

    def __activate_cb(self, item, action, arguments):
        """The palette stays, wherever the mouse goes, and shows what comes of it."""
        self.props.invoker.locked = True
        self.on_enter()  # it may have been going away
        action(*arguments)

    def __changed_cb(self, keeper):
        self._show()

    def __popup_cb(self, palette):
        self._keeper.look()

    def __popdown_cb(self, palette):
        self._asking = None
