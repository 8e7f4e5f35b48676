// Who is logged in.

export const login = {
  login: "",
  rights: [],

  may(right) {
    return this.rights.includes(right);
  },
};
