import sys

from parcelquote.cli import main

sys.exit(main())
