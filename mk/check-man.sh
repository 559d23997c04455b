#!/bin/sh
# check-man.sh SAFEHOUSE PAGE...: the manual has no mistake that mandoc sees, names every option that
# the commands' --help names and no other, and, like the examples, every field of the configuration.
safehouse=$1
shift
bad=0
wrong() { echo "$1"; bad=1; }
plain() { mandoc -T ascii "$1" | sed 's/.\x08//g'; }
options() { grep -oE -- '(^|[^-a-z])--?[a-z][-a-z]*' | sed 's/^[^-]//' | sort -u; }

help_of() {
    case $1 in
    key) for c in create list update revoke; do "$safehouse" key $c --help; done ;;
    person) for c in add list remove grant ungrant password totp token; do "$safehouse" person $c --help; done ;;
    signin) for c in signin signout whoami; do "$safehouse" $c --help; done ;;
    unlock) for c in unlock lock; do "$safehouse" $c --help; done ;;
    config) "$safehouse" config check --help ;;
    secret) "$safehouse" secret find --help ;;
    *) "$safehouse" "$1" --help ;;
    esac
}

for page; do
    said=$(mandoc -T lint -W warning "$page" 2>&1) || wrong "$said"
    name=$(basename "$page")
    case $name in safehouse-*.1) ;; *) continue ;; esac
    command=${name#safehouse-} command=${command%.1}
    told=$(help_of $command | options)
    [ -n "$told" ] || wrong "safehouse $command --help says nothing"
    page_has=$(plain "$page" | options)
    for option in $told; do
        [ "$option" = --help ] || printf '%s\n' "$page_has" | grep -Fqx -- "$option" ||
            wrong "$name does not have $option"
    done
    for option in $page_has; do
        printf '%s\n' "$told" | grep -Fqx -- "$option" || wrong "$name has $option, which --help has not"
    done
done

fields=$(grep -v '^#' src/control/config_fields.c | grep -oE '"[a-z_-]+"' | tr -d '"' | sort -u)
[ -n "$fields" ] || wrong "no field of the configuration is found"
for field in $fields; do
    grep -qw -e "$field" doc/man/safehouse.yaml.5 || wrong "safehouse.yaml.5 does not have $field"
    cat examples/*.yaml | grep -qw -e "$field" || wrong "no example has $field"
done
for example in examples/*.yaml; do
    "$safehouse" config check "$example" >/dev/null || wrong "$example is refused"
done
[ $bad = 0 ] && echo "the manual is in order"
exit $bad
