# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_portcullis_global_optspecs
    string join \n o/output= socket= color= no-input yes timeout= h/help V/version
end

function __fish_portcullis_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_portcullis_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_portcullis_using_subcommand
    set -l cmd (__fish_portcullis_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c portcullis -n "__fish_portcullis_needs_command" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_needs_command" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_needs_command" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_needs_command" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_needs_command" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_needs_command" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_needs_command" -s V -l version -d 'Print version'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "status" -d 'Where this host stands, read from the kernel just now'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "policy" -d 'The policies: what may be cut, what stays, for how long'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "plan" -d 'What a declaration would do now; changes nothing'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "declare" -d 'Declare an emergency and cut'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "confirm" -d 'Say that you are still there, so that the cut stays until its end; what hooks declared is yours then'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "extend" -d 'Move the end of an emergency; what hooks declared is yours then'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "approve" -d 'Approve what another person declared; the last approval that is needed cuts'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "reject" -d 'End a declaration that waits for approval; nothing is cut'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "review" -d 'What one person declared without the approval that the policy demands'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "revert" -d 'End an emergency and put everything back'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "order" -d 'Signed orders: who signs declares, approves or ends, wherever they are'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "alert" -d 'Raise or resolve an alert, as a hook'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "restore" -d 'Put everything back without the daemon'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "snapshot" -d 'The kernel\'s network state as canonical text'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "audit" -d 'The audit log'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "report" -d 'The report of an emergency, for the review afterwards'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "doctor" -d 'Whether this host could cut and restore now'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "drill" -d 'Rehearse a policy on a copy of this host\'s network; needs no daemon and changes nothing outside'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "completions" -d 'Completions for a shell'
complete -c portcullis -n "__fish_portcullis_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portcullis -n "__fish_portcullis_using_subcommand status" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand status" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand status" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand status" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand status" -l watch -d 'Look again every second until interrupted'
complete -c portcullis -n "__fish_portcullis_using_subcommand status" -l check -d 'Say by the exit code: 0 a cut is in force, 3 none, 6 stuck or left over, 8 degraded'
complete -c portcullis -n "__fish_portcullis_using_subcommand status" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand status" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and not __fish_seen_subcommand_from list show check new help" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and not __fish_seen_subcommand_from list show check new help" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and not __fish_seen_subcommand_from list show check new help" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and not __fish_seen_subcommand_from list show check new help" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and not __fish_seen_subcommand_from list show check new help" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and not __fish_seen_subcommand_from list show check new help" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and not __fish_seen_subcommand_from list show check new help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and not __fish_seen_subcommand_from list show check new help" -f -a "list" -d 'The policies that the daemon has loaded'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and not __fish_seen_subcommand_from list show check new help" -f -a "show" -d 'One policy, as written'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and not __fish_seen_subcommand_from list show check new help" -f -a "check" -d 'Whether files are valid policies; needs no daemon'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and not __fish_seen_subcommand_from list show check new help" -f -a "new" -d 'A commented policy for this host, made from its links, addresses and routes; needs no daemon'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and not __fish_seen_subcommand_from list show check new help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from list" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from list" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from list" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from list" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from list" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from show" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from show" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from show" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from show" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from show" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from check" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from check" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from check" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from check" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from check" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from check" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from new" -l scope -d 'What it is to cut' -r -f -a "host\t'The whole host'
uplinks\t'The links that carry a default route'"
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from new" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from new" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from new" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from new" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from new" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from new" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "list" -d 'The policies that the daemon has loaded'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "show" -d 'One policy, as written'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "check" -d 'Whether files are valid policies; needs no daemon'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "new" -d 'A commented policy for this host, made from its links, addresses and routes; needs no daemon'
complete -c portcullis -n "__fish_portcullis_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portcullis -n "__fish_portcullis_using_subcommand plan" -l for -d 'How long the cut would last; the policy\'s default where absent' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand plan" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand plan" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand plan" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand plan" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand plan" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand plan" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l reason -d 'Why, in your own words' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l authority -d 'The legal or organisational basis, or a ticket' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l occasion -d 'What for; may be left out where the policy allows just one occasion' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l for -d 'How long; the policy\'s default where absent' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l confirm-within -d 'End by itself unless confirmed within this time' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l plan -d 'The digest of the plan that you have seen; another plan is refused. Stands for your consent' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l accept-risk -d 'Accept a risk by name' -r -f -a "lose-session\t'The plan cuts the session from which it is declared'"
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l break-glass -d 'Cut without the approval that the policy demands, where it allows that: shorter, and reviewed afterwards'
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand declare" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand confirm" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand confirm" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand confirm" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand confirm" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand confirm" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand confirm" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand confirm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand extend" -l by -d 'How much longer' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand extend" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand extend" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand extend" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand extend" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand extend" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand extend" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand extend" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand approve" -l plan -d 'The digest of the plan that you have seen (`portcullis plan`, `portcullis status`); no other is carried out' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand approve" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand approve" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand approve" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand approve" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand approve" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand approve" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand approve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand reject" -l reason -d 'Why, in your own words' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand reject" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand reject" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand reject" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand reject" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand reject" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand reject" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand reject" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and not __fish_seen_subcommand_from list close help" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and not __fish_seen_subcommand_from list close help" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and not __fish_seen_subcommand_from list close help" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and not __fish_seen_subcommand_from list close help" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and not __fish_seen_subcommand_from list close help" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and not __fish_seen_subcommand_from list close help" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and not __fish_seen_subcommand_from list close help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and not __fish_seen_subcommand_from list close help" -f -a "list" -d 'Those that nobody else has looked at yet'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and not __fish_seen_subcommand_from list close help" -f -a "close" -d 'Close one that somebody else declared, with what you found'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and not __fish_seen_subcommand_from list close help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from list" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from list" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from list" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from list" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from list" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from close" -l finding -d 'What you found, in your own words' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from close" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from close" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from close" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from close" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from close" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from close" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from close" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from help" -f -a "list" -d 'Those that nobody else has looked at yet'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from help" -f -a "close" -d 'Close one that somebody else declared, with what you found'
complete -c portcullis -n "__fish_portcullis_using_subcommand review; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portcullis -n "__fish_portcullis_using_subcommand revert" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand revert" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand revert" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand revert" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand revert" -l all -d 'End every emergency; done if there is none'
complete -c portcullis -n "__fish_portcullis_using_subcommand revert" -l accept-residue -d 'End one that is stuck even if it leaves residue again: the receipt names it, and putting it right is up to you'
complete -c portcullis -n "__fish_portcullis_using_subcommand revert" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand revert" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand revert" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and not __fish_seen_subcommand_from new sign submit help" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and not __fish_seen_subcommand_from new sign submit help" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and not __fish_seen_subcommand_from new sign submit help" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and not __fish_seen_subcommand_from new sign submit help" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and not __fish_seen_subcommand_from new sign submit help" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and not __fish_seen_subcommand_from new sign submit help" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and not __fish_seen_subcommand_from new sign submit help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and not __fish_seen_subcommand_from new sign submit help" -f -a "new" -d 'Draw up an order for somebody to sign; changes nothing'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and not __fish_seen_subcommand_from new sign submit help" -f -a "sign" -d 'Show an order and sign it by ssh-keygen'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and not __fish_seen_subcommand_from new sign submit help" -f -a "submit" -d 'Hand in a signed order'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and not __fish_seen_subcommand_from new sign submit help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from new" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from new" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from new" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from new" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from new" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from new" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from new" -f -a "declare" -d 'An order to declare an emergency, over the plan as it is now'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from new" -f -a "approve" -d 'An order to approve what another person declared'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from new" -f -a "revert" -d 'An order to end an emergency, or every one under a policy; it can lie ready before there is one'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from new" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from sign" -l key -d 'Your private key, or the public one of a key in the agent or in a security key' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from sign" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from sign" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from sign" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from sign" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from sign" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from sign" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from sign" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from submit" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from submit" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from submit" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from submit" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from submit" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from submit" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from submit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from help" -f -a "new" -d 'Draw up an order for somebody to sign; changes nothing'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from help" -f -a "sign" -d 'Show an order and sign it by ssh-keygen'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from help" -f -a "submit" -d 'Hand in a signed order'
complete -c portcullis -n "__fish_portcullis_using_subcommand order; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portcullis -n "__fish_portcullis_using_subcommand alert" -l state -d 'Whether there is something that the policy is for, or is not any more' -r -f -a "firing\t'There is something'
resolved\t'There is not any more'"
complete -c portcullis -n "__fish_portcullis_using_subcommand alert" -l reason -d 'Why, for the record' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand alert" -l incident -d 'A ticket, or what you call what you saw: it tells several alerts of yours apart, which count once. Resolved without it, all of yours are' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand alert" -l for -d 'How long the emergency is to last; the policy\'s default where absent. Of several sources the shortest counts' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand alert" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand alert" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand alert" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand alert" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand alert" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand alert" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand alert" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand restore" -l state -d 'The state directory, as the daemon\'s flag of this name' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand restore" -l config -d 'The daemon\'s configuration, read for the state directory only; policies are never read' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand restore" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand restore" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand restore" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand restore" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand restore" -l offline -d 'Do it here and now, without the daemon: as root, with nothing else needed. While a daemon runs, use `revert`'
complete -c portcullis -n "__fish_portcullis_using_subcommand restore" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand restore" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand snapshot" -l diff -d 'Compare with a file that an earlier `snapshot` wrote; exits 8 if they differ' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand snapshot" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand snapshot" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand snapshot" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand snapshot" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand snapshot" -l local -d 'Read the kernel here and now, in this network namespace, without the daemon'
complete -c portcullis -n "__fish_portcullis_using_subcommand snapshot" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand snapshot" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand snapshot" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -f -a "show" -d 'The records'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -f -a "verify" -d 'Whether a log is what was written, offline; exits 8 if not'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -f -a "head" -d 'Where the log stands: note it, and `verify --head` can prove later that nothing was cut off'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -f -a "prove" -d 'A proof, for whoever has only a checkpoint, that a record is in the log or that the log only grew'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -f -a "export" -d 'The records for other systems, verified on the way'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and not __fish_seen_subcommand_from show verify head prove export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from show" -l since -d 'Only from this time on (RFC 3339), or from so long ago (2h)' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from show" -l emergency -d 'Only of this emergency, by its id or its first 8 characters' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from show" -l actor -d 'Only of this user name or uid' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from show" -l kind -d 'Only of this kind, such as declared or restored' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from show" -l limit -d 'At most this many, the newest' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from show" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from show" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from show" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from show" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from show" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from verify" -l head -d 'A head that was noted earlier and must turn up in the log: SIZE:HASH or SIZE:SHORT of `audit head`; may be given more than once' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from verify" -l checkpoint -d 'A checkpoint (signed note) that was kept elsewhere and must be of the log\'s past; may be given more than once' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from verify" -l key -d 'The first key of a chain of keys, as `audit verify` printed it when the chain was new; may be given more than once' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from verify" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from verify" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from verify" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from verify" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from verify" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from verify" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from head" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from head" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from head" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from head" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from head" -l checkpoint -d 'The last seal\'s checkpoint instead, a signed note for `verify --checkpoint`'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from head" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from head" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from head" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from prove" -l since -d 'That the log begins as it was when it had so many records' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from prove" -l size -d 'The size of the log to prove it for; that of the last seal, else all of it' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from prove" -l file -d 'A log on disk, without a daemon, in place of the log of the daemon at the socket' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from prove" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from prove" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from prove" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from prove" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from prove" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from prove" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from prove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from export" -l format -d 'In whose words' -r -f -a "jsonl\t'The records themselves, escaped to ASCII'
ocsf\t'OCSF 1.8.0'
ecs\t'Elastic Common Schema'
cef\t'Common Event Format'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from export" -l to -d 'Write to this file, which must not be there yet, instead of standard output' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from export" -l after -d 'Only records behind this one, for going on' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from export" -l host -d 'The host\'s name, where the log comes from another' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from export" -l file -d 'The log' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from export" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from export" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from export" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from export" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from export" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from export" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "show" -d 'The records'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Whether a log is what was written, offline; exits 8 if not'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "head" -d 'Where the log stands: note it, and `verify --head` can prove later that nothing was cut off'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "prove" -d 'A proof, for whoever has only a checkpoint, that a record is in the log or that the log only grew'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "export" -d 'The records for other systems, verified on the way'
complete -c portcullis -n "__fish_portcullis_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l format -d 'One page that needs nothing else, text, or stable JSON; otherwise as --output says' -r -f -a "html\t'For a browser and for paper'
text\t'For a console or a mail'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l log -d 'A log on disk, without a daemon, in place of the log of the daemon at the socket' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l drill -d 'What a drill found (drill.json of `portcullis drill --save`), for its probes' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l host -d 'The host\'s name; that of this host where its daemon gives the log' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l to -d 'Write to this file, which must not be there yet, instead of standard output' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l head -d 'A head that was noted earlier and must turn up in the log: SIZE:HASH or SIZE:SHORT of `audit head`; may be given more than once' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l checkpoint -d 'A checkpoint (signed note) that was kept elsewhere and must be of the log\'s past; may be given more than once' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l key -d 'The first key of a chain of keys, as `audit verify` printed it when the chain was new; may be given more than once' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l public -d 'Leave out addresses, names of links and persons; authority, reason, scope, times and receipt stay'
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand doctor" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand doctor" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand doctor" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand doctor" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand doctor" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand doctor" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand drill" -l save -d 'Keep in this folder, which must not be there yet, the report (report.html), the drill\'s audit log (audit.jsonl) and this result (drill.json): `portcullis report --log FILE --drill FILE` makes the other forms of them' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand drill" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand drill" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand drill" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand drill" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand drill" -l arm -d 'Rehearse on an armed host, as with `arm = true` in portcullis.toml'
complete -c portcullis -n "__fish_portcullis_using_subcommand drill" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand drill" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand drill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand completions" -s o -l output -d 'Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too' -r -f -a "text\t'For people; may change'
json\t'For programs; stable'"
complete -c portcullis -n "__fish_portcullis_using_subcommand completions" -l socket -d 'The daemon\'s socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock' -r -F
complete -c portcullis -n "__fish_portcullis_using_subcommand completions" -l color -d 'Colours; `auto` is for terminals, and NO_COLOR turns it off' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb say otherwise'
always\t'Always'
never\t'Never'"
complete -c portcullis -n "__fish_portcullis_using_subcommand completions" -l timeout -d 'The longest wait for an answer of the daemon' -r
complete -c portcullis -n "__fish_portcullis_using_subcommand completions" -l no-input -d 'Never ask; a missing confirmation is an error'
complete -c portcullis -n "__fish_portcullis_using_subcommand completions" -l yes -d 'Declare without being asked for the policy\'s name'
complete -c portcullis -n "__fish_portcullis_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "status" -d 'Where this host stands, read from the kernel just now'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "policy" -d 'The policies: what may be cut, what stays, for how long'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "plan" -d 'What a declaration would do now; changes nothing'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "declare" -d 'Declare an emergency and cut'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "confirm" -d 'Say that you are still there, so that the cut stays until its end; what hooks declared is yours then'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "extend" -d 'Move the end of an emergency; what hooks declared is yours then'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "approve" -d 'Approve what another person declared; the last approval that is needed cuts'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "reject" -d 'End a declaration that waits for approval; nothing is cut'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "review" -d 'What one person declared without the approval that the policy demands'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "revert" -d 'End an emergency and put everything back'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "order" -d 'Signed orders: who signs declares, approves or ends, wherever they are'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "alert" -d 'Raise or resolve an alert, as a hook'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "restore" -d 'Put everything back without the daemon'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "snapshot" -d 'The kernel\'s network state as canonical text'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "audit" -d 'The audit log'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "report" -d 'The report of an emergency, for the review afterwards'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "doctor" -d 'Whether this host could cut and restore now'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "drill" -d 'Rehearse a policy on a copy of this host\'s network; needs no daemon and changes nothing outside'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "completions" -d 'Completions for a shell'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and not __fish_seen_subcommand_from status policy plan declare confirm extend approve reject review revert order alert restore snapshot audit report doctor drill completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "list" -d 'The policies that the daemon has loaded'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "show" -d 'One policy, as written'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "check" -d 'Whether files are valid policies; needs no daemon'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "new" -d 'A commented policy for this host, made from its links, addresses and routes; needs no daemon'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from review" -f -a "list" -d 'Those that nobody else has looked at yet'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from review" -f -a "close" -d 'Close one that somebody else declared, with what you found'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from order" -f -a "new" -d 'Draw up an order for somebody to sign; changes nothing'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from order" -f -a "sign" -d 'Show an order and sign it by ssh-keygen'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from order" -f -a "submit" -d 'Hand in a signed order'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "show" -d 'The records'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Whether a log is what was written, offline; exits 8 if not'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "head" -d 'Where the log stands: note it, and `verify --head` can prove later that nothing was cut off'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "prove" -d 'A proof, for whoever has only a checkpoint, that a record is in the log or that the log only grew'
complete -c portcullis -n "__fish_portcullis_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "export" -d 'The records for other systems, verified on the way'
