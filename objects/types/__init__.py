"""The types that come with Penstock, each a small service by itself."""

from objects.types.analytics import Analytics
from objects.types.authentication import Authentication
from objects.types.notification import Notification
from objects.types.register import Register
from objects.types.renderer import Renderer
from objects.types.storage import Storage
from objects.types.upstream import Upstream
from objects.types.users import Users

NATIVE = {
    one.spec.name: one()
    for one in (Analytics, Upstream, Authentication, Notification, Register, Renderer, Storage, Users)
}
