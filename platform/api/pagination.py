"""Lists are paged by cursor: stable under inserts, constant in cost."""

from rest_framework import pagination


class CursorPagination(pagination.CursorPagination):
    """`?cursor=` and `?page_size=`; newest first unless the view says otherwise."""

    ordering = "-created_at"
    page_size_query_param = "page_size"
    max_page_size = 500
