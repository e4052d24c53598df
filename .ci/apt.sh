# Debian's packages beside those of this machine. Sourced by .ci/run.

# private_apt FOLDER STATUS "ARCHITECTURES" SUITE…: for the rest of this step apt works in that folder, with these sources, and goes
# by that list of what is installed. The machine's own apt stays as it is.
private_apt() {
    local folder=$1 status=$2 architectures=$3 suite mirror
    shift 3
    mkdir -p "$folder"/{lists,cache/archives}/partial
    # Where this machine gets its own packages from.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' 2>/dev/null | grep -v security | head -n 1) || true
    for suite; do
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} $suite main"
    done >"$folder/sources.list"
    cat >"$folder/apt.conf" <<END
Dir::State "$folder";
Dir::State::status "$status";
Dir::Cache "$folder/cache";
Dir::Etc::SourceList "$folder/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
APT::Architecture "${architectures%% *}";
APT::Architectures { $(printf '"%s"; ' $architectures)};
APT::Sandbox::User "root";
Acquire::Languages "none";
END
    export APT_CONFIG=$folder/apt.conf
    apt-get update -q
}
