"""The pages that people work from: a team's tasks, one task as a story, and its thread; below `/web`.

Rendered here, with small scripts of our own that bring them up to date. Not for programs, which use the API.
"""

from fastapi import APIRouter

from gateway.web import actions, files, messages, pages, sign_in

router = APIRouter(include_in_schema=False)
router.include_router(files.router)
router.include_router(sign_in.router)
router.include_router(pages.router)
router.include_router(actions.router)
router.include_router(messages.router)
