"""A program, run in a process of its own: pip finds and downloads source archives, and builds nothing.

`pip download` runs a source archive's own build script to read its metadata. Here pip's index, settings, proxies and
certificates are used up to the download and no further, so that nothing of an archive is ever executed. It relies on
pip's inner modules; where those look different, it fails, and nothing is fetched.

    python released_download.py fetch NAME VERSION FOLDER MAX_BYTES
    python released_download.py versions NAME
"""

import inspect
import resource
import shutil
import sys
from optparse import Values
from pathlib import Path

from pip._internal.commands.download import DownloadCommand
from pip._internal.network.download import Downloader
from pip._internal.operations.prepare import get_file_url, get_http_url


class _Sources(DownloadCommand):
    """`pip download`'s options, with another ending."""

    def run(self, options: Values, args: list[str]) -> int:
        session = self.get_default_session(options)
        finder = self._build_package_finder(options=options, session=session, ignore_requires_python=True)
        name, wanted = args[0], args[1:]
        archives = [one for one in finder.find_all_candidates(name) if not one.link.is_wheel]
        if not wanted:
            final = {one.version for one in archives if not one.version.is_prerelease and not one.link.is_yanked}
            sys.stdout.write("".join(f"{version}\n" for version in sorted(final)))
            return 0
        version, folder = wanted
        link = next((one.link for one in archives if str(one.version) == version), None)
        if link is None:
            sys.stderr.write(f"the index has no source archive of {name} {version}\n")
            return 1
        if link.is_file:
            got = get_file_url(link)
        else:
            # A newer pip wants to be told how often to resume.
            more = {"resume_retries": 0} if "resume_retries" in inspect.signature(Downloader).parameters else {}
            got = get_http_url(link, Downloader(session, "off", **more))
        shutil.copyfile(got.path, Path(folder) / Path(link.filename).name)
        return 0


def main(arguments: list[str]) -> int:
    words = arguments[1:]
    if arguments[0] == "fetch":
        most = int(words.pop())
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    options = ["--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-input", "--no-binary", ":all:"]
    return _Sources("download", "sources").main([*options, "--", *words])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
