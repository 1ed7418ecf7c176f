# Asks xo-backupd once an hour whether a backup of the Sugar Journal is due. An X session's shell reads this (on an XO
# olpc-session does) and then becomes Sugar: the session lasts as long as $$. Where systemd reaches the session's bus,
# xo-backupd-schedule.timer asks instead.
case "$DBUS_SESSION_BUS_ADDRESS" in
"" | unix:path="$XDG_RUNTIME_DIR"/bus*) ;;
*)
	(
		sleep 300
		while kill -0 $$; do
			[ -d "$HOME/.sugar" ] && dbus-send --session --print-reply --dest=org.laptop.Backup /org/laptop/Backup \
				org.laptop.Backup.BackupWithOptions dict:string:string:trigger,schedule
			sleep 3600
		done
	) >/dev/null 2>&1 &
	;;
esac
