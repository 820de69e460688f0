#!/bin/sh
# Starts the browser on the screen at the door, for tourlatch-screen.service: chooses it, waits for the page, watches it. With `inside` as
# its first word it is what cage runs; with `rules` it writes what Chromium may open, and ends. Settings come from the environment (/etc/tourlatch/screen.env tells each).
#
# Ends with 78 where trying again is no use: the board is too small, or a setting is wrong. Everything else is tried again by systemd.
set -eu

SCREEN_URL=${SCREEN_URL:-http://127.0.0.1:8770/}
SCREEN_BROWSER=${SCREEN_BROWSER:-auto}
SCREEN_ROTATE=${SCREEN_ROTATE:-0}
SCREEN_SCALE=${SCREEN_SCALE:-1}
MEMINFO=${SCREEN_MEMINFO:-/proc/meminfo}
PYTHON=${SCREEN_PYTHON:-/opt/tourlatch/venv/bin/python}
# The kiosk renews this whenever the page on this board has asked it for news.
POLLED=${SCREEN_POLLED:-/run/tourlatch-kiosk/polled}
LOOK_S=${SCREEN_LOOK_S:-30}
# What Chromium is shown of the rules that this writes; where they come from, with @PAGE@ for the page.
RULES=${SCREEN_RULES:-/etc/chromium/policies/managed/tourlatch.json} TEMPLATE=${SCREEN_TEMPLATE:-${0%/*}/chromium.json}
HERE=${XDG_RUNTIME_DIR:?is not set: this is for tourlatch-screen.service to run}
# Boards of 1 GB and 2 GB tell less than that, for the GPU has its share.
COG_KB=800000 CHROMIUM_KB=1700000

say() { printf 'screen: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
no_use() { say "$*"; exit 78; }

# --- which browser ---

check_settings() {
  host=${SCREEN_URL#http://} host=${host%%/*}
  case $SCREEN_URL in http://127.0.0.1:* | http://localhost:*) ;; *) host= ;; esac
  case ${host#*:} in
    '' | *[!0-9]* | ??????*) no_use "SCREEN_URL must be the kiosk's page on this board, like http://127.0.0.1:8770/: the browser reaches nothing else" ;;
  esac
  # As Chromium writes it: a name alone would stand for all below it, too.
  page=http://$host
  case $host in localhost:*) page=http://.$host ;; esac
  case $SCREEN_ROTATE in 0 | 90 | 180 | 270) ;; *) no_use "SCREEN_ROTATE must be 0, 90, 180 or 270, not $SCREEN_ROTATE" ;; esac
  case $SCREEN_SCALE in [1-4] | [0-3].[0-9] | [0-3].[0-9][0-9]) ;; *) no_use "SCREEN_SCALE must be a number like 1 or 1.5, not $SCREEN_SCALE" ;; esac
  case $SCREEN_BROWSER in auto | cog | chromium) ;; *) no_use "SCREEN_BROWSER must be auto, cog or chromium, not $SCREEN_BROWSER" ;; esac
}

# --- what Chromium may open ---

# The page's port and no other of this board's: the desk, the agent's sockets and whatever else listens here are not for the screen.
write_rules() {
  mkdir -p "$HERE/chromium/managed"
  sed "s|@PAGE@|$page|" "$TEMPLATE" >"$HERE/chromium/managed/tourlatch.json"
}

check_rules() {
  [ "$browser" != chromium ] || grep -qF "[\"$page\"]" "$RULES" 2>/dev/null ||
    die "Chromium is not started without its rules: $RULES does not name $page (systemctl cat tourlatch-screen has ExecStartPre= and BindReadOnlyPaths=)"
}

# its_path: where Chromium is; Debian and Raspberry Pi OS name it apart.
its_path() { command -v chromium || command -v chromium-browser; }

# choose: sets `browser` to cog or chromium, by what is installed and by the board's memory.
choose() {
  memory=$(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' "$MEMINFO")
  [ -n "$memory" ] || die "$MEMINFO does not tell the board's memory"
  megabytes=$((memory / 1024))
  [ "$memory" -ge $COG_KB ] ||
    no_use "this board has $megabytes MB and a browser needs a board of 1 GB: show the page on another device ([remote] in kiosk.toml)"
  browser=$SCREEN_BROWSER
  if [ "$browser" = auto ]; then
    browser=cog
    if [ "$memory" -ge $CHROMIUM_KB ] && its_path >/dev/null; then browser=chromium; fi
  fi
  if [ "$browser" = chromium ]; then
    [ "$memory" -ge $CHROMIUM_KB ] ||
      no_use "this board has $megabytes MB and Chromium needs a board of 2 GB: SCREEN_BROWSER=cog, and apt install --no-install-recommends cog"
    its_path >/dev/null || die "Chromium is not installed: apt install --no-install-recommends chromium"
  else
    command -v cog >/dev/null || die "there is no browser for a board of $megabytes MB: apt install --no-install-recommends cog"
  fi
  command -v cage >/dev/null || die "cage is not installed: apt install --no-install-recommends cage seatd"
  case $(cage -v) in
    *' 0.1.'*) command -v Xwayland >/dev/null || die "this cage does not start without Xwayland: apt install --no-install-recommends xwayland" ;;
  esac
}

# rotation: cage's own options for it; a cage that has none is turned from inside.
rotation() {
  if [ "$SCREEN_ROTATE" = 0 ]; then return; fi
  if cage -h 2>&1 | grep -q '^ *-r'; then
    case $SCREEN_ROTATE in 90) echo -r ;; 180) echo -r -r ;; 270) echo -r -r -r ;; esac
  elif ! command -v wlr-randr >/dev/null; then
    say "the screen is not turned: apt install --no-install-recommends wlr-randr"
  fi
}

# --- the page ---

# A browser that starts before the page shows an error for ever.
wait_for_page() {
  until "$PYTHON" -I -S -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)' "${host%:*}" "${host##*:}" 2>/dev/null; do
    [ -n "${told:-}" ] || say "waiting for $SCREEN_URL (systemctl status tourlatch-kiosk)"
    told=1
    sleep 2
  done
}

is_silent() { [ -n "$(find "$POLLED" -mmin +2 2>/dev/null)" ]; }

# watch: ends when the kiosk runs and the page has not asked it for two minutes: a crashed page, an error page, a GPU that hangs. While
# the kiosk is away there is no file, and nothing is concluded. Looked at twice, for a clock that is set makes every file look old. It ends
# with the launcher also where that was killed and could not say so.
watch() {
  while sleep "$LOOK_S"; do
    kill -0 $$ 2>/dev/null || return 1
    if is_silent && sleep "$LOOK_S" && is_silent; then return; fi
  done
}

# --- inside cage ---

turn() {
  if [ "$SCREEN_ROTATE" = 0 ] || cage -h 2>&1 | grep -q '^ *-r'; then return; fi
  wlr-randr | sed -n 's/^\([^ ][^ ]*\) .*/\1/p' | while read -r output; do
    wlr-randr --output "$output" --transform "$SCREEN_ROTATE" || say "the screen $output is not turned"
  done
}

run_cog() {
  # A page that crashed ends cog, and so all of this: systemd starts it anew, and not in a tight loop.
  exec cog --platform=wl --webprocess-failure=exit --bg-color=black --scale="$SCREEN_SCALE" --set-permissions=none \
    --doc-viewer --cookie-store=no-third-party --enable-page-cache=false --enable-developer-extras=false --enable-webgl=false \
    --enable-webrtc=false --enable-dns-prefetching=false --enable-plugins=false --allow-modal-dialogs=false \
    --javascript-can-open-windows-automatically=false --media-playback-requires-user-gesture=false "$SCREEN_URL"
}

run_chromium() {
  # The profile is new each time and in memory: nothing of the last visitor, no first run, nothing to restore after a crash.
  rm -rf "$HERE/profile"
  # Whole frames: parts alone left black places in cage 0.1.4. What pages may do is in the rules that the unit shows to Chromium (tourlatch-chromium.json).
  exec "$(its_path)" --ozone-platform=wayland --kiosk --user-data-dir="$HERE/profile" --disk-cache-dir="$HERE/cache" --disk-cache-size=8388608 \
    --ui-disable-partial-swap --no-first-run --no-default-browser-check --noerrdialogs --hide-crash-restore-bubble --disable-pinch --overscroll-history-navigation=0 \
    --block-new-web-contents --deny-permission-prompts --disable-extensions --disable-sync --disable-breakpad --disable-component-update \
    --disable-background-networking --disable-domain-reliability --no-pings --password-store=basic \
    --disable-features=Translate,MediaRouter,OptimizationHints,GlobalMediaControls --autoplay-policy=no-user-gesture-required \
    --host-resolver-rules='MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost' --force-device-scale-factor="$SCREEN_SCALE" \
    --log-level=3 "$SCREEN_URL"
}

if [ "${1:-}" = inside ]; then
  turn
  if [ "${2:-}" = chromium ]; then run_chromium; else run_cog; fi
fi

check_settings
if [ "${1:-}" = rules ]; then
  write_rules
  exit 0
fi
choose
check_rules
wait_for_page
say "starting $browser on a board of $megabytes MB"
# shellcheck disable=SC2046 # none or several options
cage -d $(rotation) -- /bin/sh "$0" inside "$browser" &
cage=$!
# Before the traps, which it would have for a moment: a signal that comes in that moment is lost.
(watch && say "the page has not asked for news for two minutes: starting the browser anew" && kill -USR1 $$) &
watcher=$!
# The trap's `exit` is this script's end; systemd ends what is left of it.
trap 'exit 1' USR1
trap 'exit 0' TERM INT
trap 'kill "$watcher" "$cage" 2>/dev/null || :' EXIT
status=0
wait "$cage" || status=$?
say "the browser ended ($status)"
exit 1
