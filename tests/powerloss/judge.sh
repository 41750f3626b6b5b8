# shellcheck shell=bash
# What the guest of tests/powerloss/run acknowledged, and whether what it finds afterwards agrees. Sourced by it.

# What the guest acknowledged, over all boots.
declare -A acked=() policy_of=() ends_of=() life=() extending=()
head='' pending='' fresh=''
# What one boot found.
declare -A log=() held=()
# What one run found, and all of them.
acks=0 found='-' expected=0 in_force=0 soon='' torn='' flight='' sent=0 bad=() violations=0 rows=() now=0

violation() {
    bad+=("$*")
    printf '   VIOLATION: %s\n' "$*"
}
# The way of the guest's last question to its answer.
answered() {
    took[${flight%% *}]=$(($(milliseconds) - sent))
    flight=''
}
epoch() { date -d "$1" +%s; }

# Every acknowledged record is in the log, as it was.
judge_log() {
    local sequence missing=0
    for sequence in "${!acked[@]}"; do
        [ "${log[$sequence]:-}" = "${acked[$sequence]}" ] && continue
        missing=$((missing + 1))
        violation "acknowledged record $sequence is ${log[$sequence]:+another: }${log[$sequence]:-missing}"
    done
    found=$((${#acked[@]} - missing))/${#acked[@]}
}

# What was in force is in force again, or not, as its policy and its deadline say.
judge_held() {
    local id left must unknown=0
    expected=0 in_force=${#held[@]} soon=''
    for id in "${!life[@]}"; do
        left=$((${ends_of[$id]} - now))
        must=either
        [ "${life[$id]}" != live ] || [ "$left" -le 3 ] || must=yes
        [ -z "${extending[$id]:-}" ] || [ "$left" -gt 3 ] || must=either
        [ "${life[$id]}" != ended ] || must=no
        [ -n "${extending[$id]:-}" ] || [ "$left" -ge -3 ] || must=no
        [ "${policy_of[$id]}" != passing ] || must=no
        [ "$must" != yes ] || expected=$((expected + 1))
        case $must/${held[$id]:-nothing} in
        yes/in-force* | no/nothing | either/nothing | either/in-force*) ;;
        *) violation "emergency $id (${policy_of[$id]}, ${life[$id]}, $left s left): held $must, but it is ${held[$id]:-nothing}" ;;
        esac
        case ${held[$id]:-} in
        "") life[$id]=ended ;;
        *" ${ends_of[$id]}") ;;
        *) [ -n "${extending[$id]:-}" ] || violation "emergency $id ends at ${held[$id]}, not ${ends_of[$id]}" ;;
        esac
    done
    for id in "${!held[@]}"; do
        [ -z "${life[$id]:-}" ] || continue
        unknown=$((unknown + 1))
        [ "${policy_of[$id]}" = "$pending" ] && [ "$pending" != passing ] && [ "$unknown" -eq 1 ] ||
            violation "emergency $id (${policy_of[$id]}) is in force, and nobody declared it"
        life[$id]=live ends_of[$id]=${held[$id]##* }
    done
    for id in "${!held[@]}"; do [ $((${held[$id]##* } - now)) -gt 30 ] || soon=yes; done
    pending='' extending=()
}

# What the network does is what is in force, however it is called. Not asked where something ends in these seconds.
judge_network() {
    local id everything=yes/yes eth1=up
    [ -z "$soon" ] || return 0
    for id in "${!held[@]}"; do
        case ${policy_of[$id]} in
        held) everything=no/no ;;
        down) eth1=down ;;
        esac
    done
    [ "$*" = "out=$everything in=$everything lifeline=yes/yes eth1=$eth1" ] ||
        violation "with ${#held[@]} in force (out=$everything, eth1=$eth1) the probes say $*"
}

# One line of the guest's.
hear() {
    local kind=$1
    shift
    case $kind in
    FRESH)
        fresh=${fresh:-$1}
        [ "$fresh" = "$1" ] || violation "the guest came up with another network than at its first boot"
        ;;
    FILE)
        [ "$2" != damaged ] || violation "$1 is damaged"
        ;;
    LOG) log[$1]=$2 ;;
    TORN) torn=torn ;;
    VERIFY)
        case "$1 $2 $3" in
        "before 0 "* | "after 0 "* | "noted 0 "* | "noted 8 key-unknown") ;; # sealed after the head that was noted
        *) violation "audit verify ($1) ends with $2: $3" ;;
        esac
        ;;
    START)
        judge_log
        flight=recovery sent=$(milliseconds)
        aimed_at recovery
        ;;
    NOW) now=$1 ;;
    HELD) held[$1]="$3 $(epoch "$4")" policy_of[$1]=$2 ;;
    STATE)
        answered
        judge_held
        case "${#held[@]} $*" in
        "0 clear open-paths=0 audit-healthy=true" | [1-9]*" in-force open-paths=0 audit-healthy=true") ;;
        *) [ -n "$soon" ] || violation "with ${#held[@]} in force the status is $*" ;;
        esac
        ;;
    PROBE) judge_network "$@" ;;
    NET)
        case "$1/${#held[@]} $2" in
        */0" same" | ended/*" same" | held/[1-9]*" differs") ;;
        held/*) [ -n "$soon" ] || violation "with ${#held[@]} in force the network, against the fresh one, is $2" ;;
        *) violation "after the end of all the network, against the fresh one, is $2" ;;
        esac
        ;;
    DAMAGED) [ "$1" -eq 0 ] || violation "$1 records of damaged state" ;;
    BAD) violation "$*" ;;
    CHECKED)
        checked=yes
        close_run
        ;;
    DRIVE)
        open_run
        aimed_at time
        ;;
    SENT)
        flight="$1 ${policy_of[$2]:-$2}" sent=$(milliseconds)
        case $1 in
        declare) pending=$2 ;;
        extend) extending[$2]=yes ;;
        revert) life[$2]=ending ;;
        esac
        [ -z "$driving" ] || aimed_at "$1" "under ${policy_of[$2]:-$2}"
        ;;
    CONFIRMED) answered ;;
    DECLARED)
        answered
        policy_of[$1]=$2 ends_of[$1]=$(epoch "$3") life[$1]=live pending=''
        ;;
    EXTENDED)
        answered
        ends_of[$1]=$(epoch "$2") && unset "extending[$1]"
        ;;
    REVERTED)
        answered
        life[$1]=ended
        [ "$2" = residues=0 ] || violation "the revert of $1 left $2"
        ;;
    REFUSED)
        answered
        case $1 in
        declare) pending='' && violation "a declaration under $2 was refused" ;;
        extend) unset "extending[$2]" ;;
        revert) life[$2]=ended ;;
        esac
        [ "$1" = declare ] || [ "$((${ends_of[$2]} - $(date +%s)))" -lt 5 ] || violation "$1 $2 was refused"
        ;;
    ACK)
        acked[$1]=$2 head=$1:$2
        [ -z "$driving" ] || { acks=$((acks + 1)) && aimed_at ack; }
        ;;
    esac
}
