"""A program that lists and downloads source archives with pip, and builds nothing. It runs in its own process.

`pip download` runs a source archive's build script to read its metadata. This program uses pip's index, settings,
proxies and certificates but stops after the download, so that nothing of an archive is executed. It relies on pip's
internal modules; with a pip where these differ it fails and fetches nothing.

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
    """`pip download` with its options, but ending after the download."""

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
            # Newer versions of pip require a number of resumptions.
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
